"""Odd times are told by hand, and once by whoever uses them."""

import dataclasses

import numpy as np
import pytest

from metarec.data.datamodule import EpisodeDataModule
from metarec.data.odd_times import TimeUnit, remarks, told
from metarec.data.ratings import Ratings
from metarec.data.splits import UserCold
from metarec.errors import InputError


@pytest.mark.fault("times")
@pytest.mark.parametrize(
    ("time", "unit", "expected"),
    [
        ([10**9, 10**9 + 1, 10**9 + 5], "s", []),
        ([5, 5, 5], "s", ["all times are the same"]),
        ([10**9, 2 * 10**10, 10**9 + 1], "s", ["are they ms or us?"]),
        ([10**6, 10**6 + 1, 10**6 + 2], "ms", ["give time_unit s if times are seconds, not ms"]),
        ([-3, 4, -1], "s", ["2 of 3 times are negative (before 1970)"]),
        ([9, 8, 8], "s", ["times fall from row to row"]),
        ([7, 9, 7], "s", []),
        ([7, 9, 7, 7, 7], "s", []),
        ([7, 9, *[7] * 10], "s", ["10 of 12 ratings have the same time as another of their user"]),
    ],
)
def test_odd_times_are_told(time: list[int], unit: TimeUnit, expected: list[str]) -> None:
    user = np.array([1, 2, *[1] * 10], dtype=np.int32)[: len(time)]
    found = remarks(np.array(time), user, unit)
    assert len(found) == len(expected)
    assert all(part in remark for part, remark in zip(expected, found, strict=True))


def test_ties_are_counted_within_users_however_far_times_reach() -> None:
    user = np.array([*[1] * 10, *[2] * 10, 2**30], dtype=np.int32)
    for far in (10, 2**52):
        [*_, tied] = remarks(np.array([*[far] * 20, 0]), user, "s")
        assert tied.startswith("18 of 21 ratings have the same time")


@pytest.mark.fault("times")
def test_they_are_said_once_and_only_where_nothing_is_refused(
    ratings: Ratings, caplog: pytest.LogCaptureFixture
) -> None:
    odd = dataclasses.replace(ratings, odd_times=told("own.csv", ["2 times are negative (before 1970)"]))
    with pytest.raises(InputError, match="the split leaves no"):
        EpisodeDataModule(odd, UserCold(min_ratings=1000), eval_support=5).test_dataloader()
    with pytest.raises(InputError, match="training task"):
        EpisodeDataModule(odd, UserCold(), train_support=(100, 100), eval_support=5).train_dataloader()
    assert not caplog.records
    data = EpisodeDataModule(odd, UserCold(min_ratings=8), eval_support=5)
    for loader in (data.train_dataloader, data.val_dataloader, data.test_dataloader):
        loader()
    assert [record.getMessage() for record in caplog.records] == [
        "own.csv: odd times: 2 times are negative (before 1970)"
    ]
    caplog.clear()
    EpisodeDataModule(ratings, UserCold(min_ratings=8), eval_support=5).test_dataloader()
    assert not caplog.records
