"""Synthetic data for unit tests, and the real MovieLens 100K for those that train on it."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from metarec.data.datamodule import EpisodeDataModule
from metarec.data.draws import draw
from metarec.data.ratings import FeatureTable, Ratings, encode, encode_sets
from metarec.data.splits import UserCold
from metarec.data.tasks import EpisodeSizes, TaskBatch, pack
from metarec.errors import InputError
from metarec.nets.base import Net
from metarec.nets.melu import MeLUNet
from metarec.nets.ncf import NeuMF
from tests.faults.disk import mounted


def synthetic_ratings(users: int = 40, items: int = 30, seed: int = 0, fewest: int = 12) -> Ratings:
    """Synthetic ratings with a user and an item effect; every user has rated `fewest` items or more."""
    random = np.random.default_rng(seed)
    counts = random.integers(fewest, items + 1, users)
    user = np.repeat(np.arange(1, users + 1), counts)
    item = np.concatenate([random.permutation(items)[:count] + 1 for count in counts])
    mean = 3 + random.normal(0, 0.7, users + 1)[user] + random.normal(0, 0.7, items + 1)[item]
    rating = np.clip(np.round(mean + random.normal(0, 0.5, len(user))), 1, 5).astype(np.float32)
    group, groups = encode([str(number % 3) for number in range(users)])
    genre, genres = encode_sets([[f"g{number % 4}", f"g{number % 3}"] for number in range(items)])
    return Ratings(
        name="synthetic",
        source="conftest",
        user=user.astype(np.int64),
        item=item.astype(np.int64),
        rating=rating,
        time=random.integers(0, 10_000, len(user)),
        scale=(1.0, 5.0),
        user_ids=("", *(f"u{number}" for number in range(1, users + 1))),
        item_ids=("", *(f"i{number}" for number in range(1, items + 1))),
        item_titles=("", *(f"Item {number}" for number in range(1, items + 1))),
        user_features=FeatureTable({"group": group}, {}, {"group": groups}),
        item_features=FeatureTable({}, {"genre": genre}, {"genre": genres}),
        digest="0" * 64,
    )


def tiny_net(ratings: Ratings, **options: object) -> Net:
    """A small NeuMF on the synthetic data, all of whose parameters are at random values."""
    torch.manual_seed(0)
    arguments: dict = {"gmf": 4, "mlp": 3, "hidden": [5, 4], **options}
    net = NeuMF(ratings.schema, ["group"], ["genre"], **arguments)
    net.prepare(ratings, pack(ratings, np.arange(len(ratings))))
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return net


def tiny_melu(ratings: Ratings, hidden: Sequence[int] = (5, 4), item_ids: bool = True) -> Net:
    """A small MeLU net on the synthetic data, all of whose parameters are at random values."""
    torch.manual_seed(0)
    net = MeLUNet(ratings.schema, ["group"], ["genre"], width=3, hidden=hidden, item_ids=item_ids)
    net.prepare(ratings, pack(ratings, np.arange(len(ratings))))
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return net


@pytest.fixture(scope="session")
def ratings() -> Ratings:
    return synthetic_ratings()


@pytest.fixture
def net(ratings: Ratings) -> Net:
    return tiny_net(ratings)


@pytest.fixture(scope="session")
def batch(ratings: Ratings) -> TaskBatch:
    """Eight tasks with supports of different sizes, so that there is padding."""
    tasks = pack(ratings, np.arange(len(ratings)))
    return draw(tasks, torch.arange(8), EpisodeSizes(2, 6, 5), torch.Generator().manual_seed(0), shuffle=True)


def clicked(batch: TaskBatch) -> TaskBatch:
    """The batch with a click in place of each rating of 4 or 5, and 0 in place of the others."""
    sides = (rows._replace(rating=(rows.rating >= 4).float()) for rows in (batch.support, batch.query))
    return TaskBatch(batch.task, *sides)


@pytest.fixture(scope="session")
def movielens() -> Ratings:
    """The real MovieLens 100K."""
    from metarec.data.sources import movielens_100k

    try:
        return movielens_100k()
    except InputError as error:
        pytest.skip(f"MovieLens 100K cannot be had here: {error}")


def demo_data() -> EpisodeDataModule:
    """The data of the demo: MovieLens 100K, new users with 15 support ratings each."""
    from metarec.data.sources import movielens_100k

    return EpisodeDataModule(movielens_100k(), UserCold(min_ratings=17, train_min_ratings=4), eval_support=15)


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with made-up ratings and `run`, the folder of a small fit on them; for reading alone."""
    from metarec import cli
    from tests import small

    folder = tmp_path_factory.mktemp("trained")
    cli.main(["fit", *small.layers(folder), f"--trainer.default_root_dir={folder / 'run'}"])
    return folder


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 64 KiB."""
    with mounted(tmp_path / "disk", "size=64k") as folder:
        yield folder
