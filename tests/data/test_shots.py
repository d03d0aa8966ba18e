"""Episodes of k-shot curves: nested support sets, one query set, nobody padded."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from metarec.data.episodes import EvalEpisodes
from metarec.data.negatives import Negatives
from metarec.data.shots import ShotEpisodes, nested, shot_sizes
from metarec.data.tasks import EpisodeSizes, TaskBatch, pack
from metarec.errors import InputError
from tests.conftest import synthetic_ratings
from tests.data.test_tasks import real

RATINGS = synthetic_ratings(users=30, items=40)
"""Users with 12 to 40 ratings."""
ALL = np.arange(len(RATINGS))
SHUFFLED = pack(RATINGS, ALL, shuffle_seed=3, draws=2)
IN_TIME = pack(RATINGS, ALL)


def by_user(episodes: EvalEpisodes, shots: int | None = None, rows: int = 1) -> dict[int, list]:
    """Support and query rows of every draw of each user, the support cut to some shots."""
    found: dict[int, list] = {}
    for number in range(len(episodes)):
        batch: TaskBatch = episodes[number]
        support = batch.support if shots is None else nested(batch.support, shots, rows)
        for place, user in enumerate(batch.task.tolist()):
            found.setdefault(user, []).append((real(support, place), real(batch.query, place)))
    return found


@settings(max_examples=30, deadline=None)
@given(
    shots=st.lists(st.integers(0, 25), min_size=2, max_size=5, unique=True).map(sorted),
    query=st.integers(1, 10),
    batch_size=st.integers(1, 70),
)
def test_each_k_is_what_would_be_drawn_for_it_alone(shots: list[int], query: int, batch_size: int) -> None:
    """Shuffled, with a query size: the episodes of an ordinary test with a support of k."""
    episodes = ShotEpisodes(SHUFFLED, shot_sizes(shots, query), batch_size, shuffle=True)
    for k in filter(None, shots):
        cut = by_user(episodes, k)
        alone = by_user(EvalEpisodes(SHUFFLED, EpisodeSizes(k, k, query), batch_size, shuffle=True))
        assert cut == {user: alone[user] for user in cut}
    assert all(len(draws) == 2 and draws[0] != draws[1] for draws in cut.values())


def test_negatives_of_the_first_k_do_not_depend_on_the_others() -> None:
    rich = synthetic_ratings(users=30, items=90)
    tasks = pack(rich, np.flatnonzero(rich.item <= 60), shuffle_seed=0)
    catalogue = np.random.default_rng(0).permutation(np.arange(1, 91))
    negatives = Negatives(tasks, catalogue, 2, "test")
    options = {"shuffle": True, "negatives": negatives, "seed": 5}
    episodes = ShotEpisodes(tasks, shot_sizes([0, 1, 4, 8], 3), 16, **options)
    for k in (1, 4, 8):
        cut = by_user(episodes, k, rows=3)
        alone = by_user(EvalEpisodes(tasks, EpisodeSizes(k, k, 3), 16, **options))
        assert cut == {user: alone[user] for user in cut}
        assert all(len(support) == 3 * k for [(support, _)] in cut.values())


@pytest.mark.parametrize("query", [None, 4])
def test_in_time_order_the_query_follows_the_largest_support(query: int | None) -> None:
    episodes = ShotEpisodes(IN_TIME, shot_sizes([0, 2, 10], query), 16, shuffle=False)
    for user, [(support, asked)] in by_user(episodes).items():
        rows = np.flatnonzero(RATINGS.user == user)
        rows = rows[np.lexsort((RATINGS.item[rows], RATINGS.time[rows]))]
        mine = list(zip(RATINGS.item[rows].tolist(), RATINGS.rating[rows].tolist(), strict=True))
        assert support == mine[:10]
        assert asked == (mine[10:] if query is None else mine[10 : 10 + query])
        assert by_user(episodes, 2)[user][0][0] == mine[:2]


@pytest.mark.parametrize(("query", "needed"), [(None, 21), (1, 21), (10, 30)])
@pytest.mark.parametrize("tasks", [SHUFFLED, IN_TIME], ids=["shuffled", "time"])
def test_users_with_too_few_ratings_are_left_out_and_counted(tasks, query: int | None, needed: int) -> None:
    episodes = ShotEpisodes(tasks, shot_sizes([0, 20], query), 7, shuffle=tasks is SHUFFLED)
    counts = dict(zip(*np.unique(RATINGS.user, return_counts=True), strict=True))
    enough = {user for user, count in counts.items() if count >= needed}
    assert 0 < len(enough) < len(counts)
    assert (episodes.needed, episodes.users, episodes.left_out) == (needed, len(enough), len(counts) - len(enough))
    found = by_user(episodes)
    assert set(found) == enough
    for number in range(len(episodes)):
        assert episodes[number].support.mask.all(), "a padded support"
    sizes = {user: len(draws[0][1]) for user, draws in found.items()}
    assert sizes == {user: counts[user] - 20 if query is None else query for user in enough}


def test_of_known_users_the_known_ratings_count() -> None:
    """Their query is held out: what they lack is known ratings, and the message says so."""
    held = RATINGS.item % 4 == 0
    tasks = pack(RATINGS, np.flatnonzero(held), 3, support=np.flatnonzero(~held))
    known = (tasks.lengths - tasks.query).numpy()
    episodes = ShotEpisodes(tasks, shot_sizes([0, 15], 3), 7, shuffle=True)
    assert (episodes.needed, episodes.kind) == (15, "known ratings")
    assert (episodes.users, episodes.left_out) == ((known >= 15).sum(), (known < 15).sum())
    assert 0 < episodes.left_out < len(known)
    assert ShotEpisodes(SHUFFLED, shot_sizes([0, 5], 3), 7, shuffle=True).kind == "ratings"
    with pytest.raises(InputError, match="none of 30 test users has the 31 known ratings that 31 shots need; give few"):
        ShotEpisodes(tasks, shot_sizes([0, 31], 3), 7, shuffle=True)


def test_ranks_share_the_users_out() -> None:
    sizes = shot_sizes([0, 20], None)
    whole = by_user(ShotEpisodes(SHUFFLED, sizes, 16, shuffle=True))
    shares = [by_user(ShotEpisodes(SHUFFLED, sizes, 16, True, rank, 3)) for rank in range(3)]
    assert not any(set(a) & set(b) for a, b in itertools.combinations(shares, 2))
    assert {user: rows for share in shares for user, rows in share.items()} == whole
    lonely = ShotEpisodes(pack(RATINGS, np.flatnonzero(RATINGS.user == 1)), shot_sizes([0, 5], 1), 16, True, 1, 2)
    assert (len(lonely), lonely.users) == (0, 1)


@pytest.mark.parametrize("shots", [[], [3], [1, 1], [5, 3], [-1, 2]])
def test_shots_ascend(shots: list[int]) -> None:
    with pytest.raises(InputError, match="ascending order"):
        shot_sizes(shots, None)


def test_query_is_at_least_one() -> None:
    with pytest.raises(InputError, match="query 0"):
        shot_sizes([0, 1], 0)


def test_nobody_has_enough() -> None:
    with pytest.raises(InputError, match="none of 30 test users has the 61 ratings"):
        ShotEpisodes(SHUFFLED, shot_sizes([0, 60], None), 16, shuffle=True)


def test_no_shots_are_no_rows() -> None:
    batch = ShotEpisodes(SHUFFLED, shot_sizes([0, 5], None), 16, shuffle=True)[0]
    assert nested(batch.support, 0).mask.shape == (16, 0)
    assert torch.equal(nested(batch.support, 5).item, batch.support.item)
