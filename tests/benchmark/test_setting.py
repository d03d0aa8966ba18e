"""Which data a benchmark is of, and how it is stretched."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from metarec.benchmark import setting as of
from metarec.benchmark.setting import Setting, movielens
from metarec.errors import InputError
from tests.data.test_movielens import write_1m, write_100k


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty METAREC_DATA, without which nothing can be had."""
    monkeypatch.setenv("METAREC_DATA", str(tmp_path))
    gone = {name: (folder, file, None) for name, (folder, file, _) in of.DATA.items()}
    readers = {name: read for name, (_, _, read) in of.DATA.items()}

    def only_given(name: str):
        def read(path: str | None) -> object:
            assert path is not None, f"{name} would be fetched"
            return readers[name](path)

        return read

    monkeypatch.setattr(of, "DATA", {name: (*gone[name][:2], only_given(name)) for name in gone})
    return tmp_path


def test_both_data_sets_are_looked_for_in_the_folder_of_data(kept: Path) -> None:
    write_100k(kept / "ml-100k")
    assert movielens("movielens-100k").source == f"path {kept}/ml-100k"
    assert movielens(None).name == "movielens-100k"
    (kept / "ml-1m").mkdir()
    write_1m(kept / "ml-1m")
    assert movielens("movielens-100k").name == "movielens-100k"
    assert movielens("movielens-1m").source == f"path {kept}/ml-1m"
    assert movielens(None).name == "movielens-1m"


def test_what_is_not_there_is_fetched(kept: Path) -> None:
    for name in ("movielens-100k", "movielens-1m"):
        with pytest.raises(AssertionError, match=f"{name} would be fetched"):
            movielens(name)


def test_other_data_sets_are_refused() -> None:
    with pytest.raises(InputError, match="data movielens-2m: not measured on; give movielens-1m or movielens-100k"):
        movielens("movielens-2m")


def test_stretched_items_have_the_attributes_of_real_ones(setting: Setting) -> None:
    real = setting.ratings.item_features
    lists = {"actor": np.arange(2 * len(setting.ratings.item_ids)).reshape(-1, 2)}
    values = {**real.values, "actor": tuple(map(str, range(lists["actor"].max() + 1)))}
    ratings = replace(setting.ratings, item_features=replace(real, lists=lists, values=values))
    many = of._stretched(ratings, 4000)
    row, same = 3000, 3000 % len(ratings.item_ids)
    assert len(many.item_ids) == 4001
    for kind in ("categorical", "multi_hot", "lists"):
        for name, column in getattr(ratings.item_features, kind).items():
            stretched = getattr(many.item_features, kind)[name]
            assert len(stretched) == 4001
            np.testing.assert_array_equal(stretched[row], column[same])
