"""Tags count where training users gave them to items that they rated in training, by then, and nowhere else."""

import dataclasses

import numpy as np
import pytest

from metarec.audit import audit_settled, prepare
from metarec.baselines.means import GlobalMean
from metarec.data.datamodule import EpisodeDataModule
from metarec.data.ratings import Ratings
from metarec.data.scenario import Scenario
from metarec.data.sources import swapped
from metarec.data.splits import ItemCold, UserCold
from metarec.data.tags import Tags
from metarec.data.warm import Warm
from metarec.data.windows import windows
from metarec.errors import InputError, LeakError
from metarec.nets.base import NoNet

WORDS = ("art", "bee", "dark", "fun")


def tagged(ratings: Ratings, most: int = 3, late: bool = False) -> Ratings:
    """Two tags for each sixth rating, by its user and item; some later than all ratings."""
    rows = np.repeat(np.arange(0, len(ratings), 6), 2)
    word = (ratings.item[rows] * 3 + ratings.user[rows] + np.arange(len(rows)) % 2) % len(WORDS)
    time = ratings.time[rows] + (np.arange(len(rows)) % 3 == 0) * 10**6 * late
    return dataclasses.replace(ratings, tags=Tags(ratings.user[rows], ratings.item[rows], time, word, WORDS, most))


def test_by_hand() -> None:
    said = [(1, 1, 5, 2), (1, 1, 5, 2), (1, 2, 5, 3), (2, 2, 5, 2), (2, 1, 9, 0), (3, 1, 5, 1), (0, 1, 5, 1)]
    tags = Tags(*np.array(said).T, WORDS, 2)
    user, item = np.array([1, 1, 2, 2]), np.array([1, 2, 1, 2])
    matrix, words = tags.of(user, item, 4, until=8)  # not what 3 said, who rated nothing, nor 2 of 1, later
    assert words == ("dark", "fun")
    assert matrix.tolist() == [[0, 0], [1, 0], [1, 1], [0, 0]]
    assert dataclasses.replace(tags, most=1).of(user, item, 4, 8)[1] == ("dark",)
    assert tags.of(user[:1], item[:1], 4, 8)[1] == ("dark",)
    assert tags.of(user, item, 4, 9)[1] == ("dark", "art")[::-1]
    assert tags.of(user, item, 4, 4)[0].shape == (4, 0)


@pytest.mark.parametrize("tasks", ["users", "items"])
@pytest.mark.parametrize("scenario", [UserCold(), Warm(by="time"), ItemCold((0.5, 0.2, 0.3))])
def test_what_others_said_changes_nothing(ratings: Ratings, scenario: Scenario, tasks: str) -> None:
    given = tagged(ratings, late=True)
    data = EpisodeDataModule(given, scenario, eval_support=2, tasks=tasks)
    known = data.split.known
    pairs = set(zip(ratings.user[known].tolist(), ratings.item[known].tolist(), strict=True))
    own = np.array([pair in pairs for pair in zip(given.tags.user.tolist(), given.tags.item.tolist(), strict=True)])
    own &= given.tags.time <= ratings.time[known].max()
    assert 0 < own.sum() < len(own)
    other = dataclasses.replace(given.tags, word=np.where(own, given.tags.word, 0))
    twin = EpisodeDataModule(dataclasses.replace(given, tags=other), scenario, eval_support=2, tasks=tasks)
    side = "item_features" if tasks == "users" else "user_features"
    mine, theirs = getattr(data.ratings, side), getattr(twin.ratings, side)
    assert mine.values["tag"] == theirs.values["tag"]
    np.testing.assert_array_equal(mine.multi_hot["tag"], theirs.multi_hot["tag"])
    assert mine.multi_hot["genre"].any()
    assert data.ratings.tags is None
    prepare(GlobalMean(NoNet(data.schema)), data, "fit")


def test_tags_of_all_users_are_a_leak(ratings: Ratings) -> None:
    given = tagged(ratings)
    data = EpisodeDataModule(given, UserCold(), eval_support=2)
    audit_settled(data)
    every = given.settled(np.arange(len(given)))
    data.ratings = dataclasses.replace(data.ratings, item_features=every.item_features)
    with pytest.raises(LeakError, match="tags depend on what was said of other ratings"):
        prepare(GlobalMean(NoNet(data.schema)), data, "fit")


@pytest.mark.parametrize("change", [swapped, lambda ratings: windows(ratings, count=4)])
def test_what_would_part_tags_from_their_users_is_refused(change: object, ratings: Ratings) -> None:
    with pytest.raises(InputError, match="tags: 0"):
        change(tagged(ratings))
