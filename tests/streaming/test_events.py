"""Who is in a stream, and what of it is scored, against plain loops over ratings."""

import dataclasses

import numpy as np
import pytest

from metarec.data.periods import Period
from metarec.data.ratings import Ratings
from metarec.data.scenario import Split
from metarec.data.splits import ItemCold, UserCold
from metarec.data.warm import Warm
from metarec.data.windows import windows
from metarec.errors import InputError
from metarec.streaming.events import scored_of, stream_of


def pairs(ratings: Ratings, rows: np.ndarray) -> set[tuple[int, int]]:
    return set(zip(ratings.user[rows].tolist(), ratings.item[rows].tolist(), strict=True))


@pytest.mark.parametrize(
    "scenario",
    [Warm(by="time"), Warm(), ItemCold((0.5, 0.2, 0.3)), UserCold(), Period(4, 3, "last", min_ratings=1)],
    ids=["warm_time", "warm", "item_cold", "user_cold", "period"],
)
def test_what_test_users_said_before_is_learned_from(ratings: Ratings, scenario: object) -> None:
    """Training and validation ratings of theirs are seen by later events, and are not scored."""
    split = scenario(ratings)
    events = stream_of(ratings, split)
    used = np.concatenate([split.known, split.val, split.test])
    used = used[np.isin(ratings.user[used], ratings.user[split.test])]
    user = events.user[events.owner].numpy()
    assert set(zip(user.tolist(), events.item.tolist(), strict=True)) == pairs(ratings, used)
    scored = events.scored.numpy()
    assert set(zip(user[scored].tolist(), events.item[scored].tolist(), strict=True)) == pairs(ratings, split.test)
    for who, time, seen in zip(user.tolist(), events.time.tolist(), events.seen.tolist(), strict=True):
        assert seen == ((ratings.user[used] == who) & (ratings.time[used] < time)).sum()
    if isinstance(scenario, Warm) and scenario.by == "time":
        assert (events.seen[events.scored] > 0).all()


def test_all_is_scored_from_where_the_test_begins(ratings: Ratings) -> None:
    """What validated chose the checkpoint: it is learned from alone."""
    split = Warm(by="time")(ratings)
    assert split.starts is not None
    events = stream_of(ratings, split, "all")
    later = np.flatnonzero(ratings.time >= split.starts[1])
    assert (events.time[events.scored] >= split.starts[1]).all()
    assert int(events.scored.sum()) == len(later)
    user = events.user[events.owner][events.scored].tolist()
    scored = set(zip(user, events.item[events.scored].tolist(), strict=True))
    assert scored == pairs(ratings, later)
    assert not scored & pairs(ratings, split.val)
    assert scored_of(ratings, split, "all") == f"all ratings from time {split.starts[1]} on, when the test begins"


def test_without_moments_what_validated_is_not_scored(ratings: Ratings) -> None:
    early, late = np.flatnonzero(ratings.time < 5000), np.flatnonzero(ratings.time >= 5000)
    split = Split(early, late[::2], late[1::2], {}, {})
    events = stream_of(ratings, split, "all")
    last = ratings.time[early].max()
    user = events.user[events.owner][events.scored].tolist()
    assert set(zip(user, events.item[events.scored].tolist(), strict=True)) == pairs(ratings, late[1::2])
    assert len(events.item) == np.isin(ratings.user, ratings.user[late[1::2]]).sum()
    said = f"all ratings later than the last training rating (time {last}), without those that validated"
    assert scored_of(ratings, split, "all") == said
    assert scored_of(ratings, split, "test") == "the ratings of the test tasks"
    nothing = dataclasses.replace(split, val=late)
    with pytest.raises(InputError, match="no rating is later than the last training rating"):
        stream_of(ratings, nothing, "all")


@pytest.mark.parametrize("who", ["test", "all"])
def test_windows_of_histories_are_refused(ratings: Ratings, who: str) -> None:
    """Each window would begin as a stranger."""
    cut = windows(ratings, count=5)
    split = UserCold(min_ratings=2)(cut)
    with pytest.raises(InputError, match=r"^stream: synthetic-windows .* forgotten .*; leave .* out of data\.ratings$"):
        stream_of(cut, split, who)
