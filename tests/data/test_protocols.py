"""Paper protocols: what the fragments in configs/protocol say, and that counts are those that were published."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from metarec import configured, stages

ROOT = Path(__file__).parents[2]
PROTOCOLS = ROOT / "configs" / "protocol"


def described(name: str, real: Callable[[str], str], *options: str) -> stages.Numbers:
    """The stages of a protocol, read from the real data set."""
    where = {"douban": "douban-book", "100k": "ml-100k"}
    folder = Path(real(next((data for word, data in where.items() if word in name), "ml-1m")))
    fragment = (PROTOCOLS / f"{name}.yaml").read_text()
    reader = "--data.ratings.init_args" + ".ratings.init_args" * fragment.count("transforms")
    path = f"{reader}.path={folder}"
    lists = [
        f"--data.scenario.init_args.{kind}={folder}/splits/{name.split('-')[0]}_{kind}.txt"
        for kind in ("new_users", "new_items")
        if f" {kind}:" in fragment
    ]
    return stages.describe(configured.data_of(["-c", str(PROTOCOLS / f"{name}.yaml"), path, *lists, *options]))


MELU = ["-c", str(ROOT / "configs/data/movielens-1m.yaml"), "-c", str(ROOT / "configs/scenario/melu_paper.yaml")]


def test_melu_counts(real: Callable[[str], str]) -> None:
    """2,653 / 668 / 2,863 / 723 tasks (Lee et al., KDD 2019): known users, and new users, new items, and both."""
    folder = real("ml-1m")
    lists = [f"--data.scenario.init_args.new_{kind}={folder}/splits/melu_new_{kind}.txt" for kind in ("users", "items")]
    users = stages.describe(configured.data_of([*MELU, f"--data.ratings.init_args.path={folder}", *lists]))
    assert users["train"]["tasks"] + users["val"]["tasks"] == 2653
    assert users["test"]["tasks"] == 668
    listed = [
        f"--data.ratings.init_args.ratings.init_args.{k}={folder}/splits/melu_new_{k}.txt" for k in ("users", "items")
    ]
    warm = described("melu-warm", real, *listed)
    assert (warm["train"]["tasks"], warm["test"]["tasks"]) == (2653, 2653)
    assert warm["test"]["new_users"] == warm["test"]["new_items"] == 0
    assert described("melu-item-cold", real)["test"]["tasks"] == 2863
    assert described("melu-user-item-cold", real)["test"]["tasks"] == 723


def test_recbole_metarec_counts(real: Callable[[str], str]) -> None:
    """Users with 13 to 100 ratings, split 8:1:1, of which 58 of MovieLens 100K are tested."""
    small, large = described("recbole-metarec-100k", real), described("recbole-metarec-1m", real)
    assert [small[stage]["tasks"] for stage in ("train", "val", "test")] == [466, 58, 58]
    assert [large[stage]["tasks"] for stage in ("train", "val", "test")] == [2505, 313, 313]
    assert small["test"]["query"] == [10, 10.0, 10]


@pytest.mark.parametrize(
    ("name", "tasks"),
    [
        ("metahin-user-cold", 687),
        ("metahin-item-cold", 2855),
        ("metahin-user-item-cold", 731),
        ("metahin-douban-user-cold", 1105),
        ("metahin-douban-item-cold", 2363),
        ("metahin-douban-user-item-cold", 572),
        ("metahin-douban-warm-up", 885),
    ],
)
def test_metahin_counts(name: str, tasks: int, real: Callable[[str], str]) -> None:
    """Own counts of tasks with 13 to 100 ratings in the published lists and parts; the paper prints none."""
    numbers = described(name, real)
    assert numbers["test"]["tasks"] == tasks
    assert numbers["test"]["query"] == [10, 10.0, 10]
    for side in ("user", "item"):
        if f"{side}-" in name:
            assert numbers["test"][f"known_{side}s"] == 0


def test_metahin_warm_counts(real: Callable[[str], str]) -> None:
    """The published pairs, counted with numpy alone; 2,749 training tasks, as the authors' own notebook prints.

    It is data/movielens/MovieLensProcessor.ipynb of github.com/rootlu/MetaHIN.
    """
    folder = Path(real("ml-1m"))
    pairs = f"--data.scenario.init_args.pairs={folder}/splits/metahin_warm_test.csv.gz"
    numbers = described("metahin-warm", real, pairs)
    user, _ = np.loadtxt(folder / "splits/metahin_warm_test.csv.gz", dtype=int, delimiter=",", skiprows=1).T
    count = np.unique(user, return_counts=True)[1]
    kept = (count >= 13) & (count <= 100)
    assert (len(user), len(count), int(kept.sum()), int(count[kept].sum())) == (65_040, 4_583, 1_636, 47_884)
    assert (numbers["test"]["tasks"], numbers["test"]["ratings"]) == (kept.sum(), count[kept].sum())
    assert numbers["test"]["query"] == [10, 10.0, 10]
    assert numbers["train"]["tasks"] + numbers["val"]["tasks"] == 2749
    assert numbers["val"]["tasks"] == 275
    left = numbers["left_out"]
    assert left["test users with too few ratings"] + left["test users with too many ratings"] == (~kept).sum()


def test_tanp_counts(real: Callable[[str], str]) -> None:
    """The 3,711 users of MovieLens 1M with 30 to 200 ratings, split 7:1:2; a test user may lose items."""
    numbers = described("tanp", real)
    assert [numbers[stage]["tasks"] for stage in ("train", "val", "test")] == [2598, 371, 742]
    assert numbers["test"]["support"] == [20, 20.0, 20]
    assert numbers["test"]["new_items"] == 0


def test_metaemb_counts(real: Callable[[str], str]) -> None:
    """1,420 items with more than 200 ratings, 972 with 60 to 200, of which those with 62 and more are asked for."""
    numbers = described("metaemb", real)
    assert numbers["train"]["tasks"] == 1420
    left = sum(numbers["left_out"][f"{stage} items with too few ratings"] for stage in ("val", "test"))
    assert numbers["val"]["tasks"] + numbers["test"]["tasks"] + left == 972
    assert numbers["test"]["new_users"] == 0


def test_coldrec_adapts_to_nothing(movielens: object) -> None:
    for side in ("user", "item"):
        layer = ["-c", str(PROTOCOLS / f"coldrec-{side}-cold.yaml")]
        numbers = stages.describe(configured.data_of(layer))
        assert numbers["test"]["support"] == [0, 0.0, 0]
        assert numbers["test"][f"known_{side}s"] == 0
        total = sum(
            numbers[stage][f"{kind}_{side}s"] for stage in ("train", "val", "test") for kind in ("known", "new")
        )
        assert numbers["test"][f"new_{side}s"] / total == pytest.approx(0.2, abs=0.04)
