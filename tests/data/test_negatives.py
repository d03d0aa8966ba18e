"""Negatives are exact, fixed where they must be, and change nothing of the ratings they stand beside."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from metarec.data.datamodule import EpisodeDataModule
from metarec.data.episodes import POOL, EvalEpisodes, TrainEpisodes
from metarec.data.negatives import Negatives
from metarec.data.pairs import ListedWarm
from metarec.data.ratings import Ratings
from metarec.data.sources import clicks
from metarec.data.splits import UserCold
from metarec.data.tasks import EpisodeSizes, PackedTasks, Rows, TaskBatch, pack, parts
from metarec.data.transforms import likes
from metarec.errors import InputError
from tests.conftest import synthetic_ratings
from tests.data.test_tasks import real, same

ITEMS = 120


def clicked(ratings: Ratings) -> Ratings:
    """Every rating a click."""
    return clicks(ratings, threshold=1.0)


CLICKS = clicked(synthetic_ratings(users=60, items=ITEMS))
SCENARIO = UserCold(fractions=(0.6, 0.2, 0.2), min_ratings=8, max_ratings=100, train_max_ratings=100)


def data_of(**options: object) -> EpisodeDataModule:
    arguments: dict = {"train_support": (2, 6), "train_query": 5, "eval_support": 4, "batch_size": 8, "negatives": 3}
    return EpisodeDataModule(CLICKS, SCENARIO, **{**arguments, **options})


def divided(rows: Rows, task: int) -> tuple[list[int], list[int]]:
    """Items of one task's clicks, and of its negatives."""
    own = real(rows, task)
    return [item for item, rating in own if rating == 1], [item for item, rating in own if rating == 0]


def assert_exact(batch: TaskBatch, tasks: PackedTasks, catalogue: set[int], count: int) -> None:
    """Negatives are known items without a click of their user, `count` for each click, no item one of both sets."""
    for number, user in enumerate(batch.task.tolist()):
        place = tasks.task.tolist().index(user)
        own = set(tasks.item[tasks.offset[place] : tasks.offset[place + 1]].tolist())
        drawn = []
        for rows in (batch.support, batch.query):
            positives, negatives = divided(rows, number)
            assert set(positives) <= own
            assert len(negatives) == count * len(positives) == count * len(set(positives))
            assert set(negatives) <= catalogue - own
            assert rows.mask[number].sum() == (1 + count) * len(positives)
            drawn.append((set(positives), set(negatives)))
        assert not drawn[0][0] & drawn[1][0]
        assert not drawn[0][1] & drawn[1][1]


@settings(max_examples=40, deadline=None)
@given(
    users=st.integers(3, 12),
    items=st.integers(14, 40),
    offered=st.integers(0, 100),
    count=st.integers(1, 5),
    seed=st.integers(0, 10**6),
    shuffle=st.booleans(),
    length_sorted=st.booleans(),
)
def test_negatives_are_known_items_without_a_click(
    users: int, items: int, offered: int, count: int, seed: int, shuffle: bool, length_sorted: bool
) -> None:
    """Whatever share of the items is known: users may have clicked on others."""
    ratings = clicked(synthetic_ratings(users, items, seed, fewest=5))
    tasks = pack(ratings, np.flatnonzero(np.bincount(ratings.user)[ratings.user] <= items - 2))
    if not len(tasks.task):
        return
    order = np.random.default_rng(seed).permutation(items) + 1
    catalogue = order[: items * (100 - offered // 2) // 100]
    try:
        negatives = Negatives(tasks, catalogue, count, "training")
    except InputError:
        free = [len({*catalogue.tolist()} - {*own.tolist()}) for own in tasks.item.split(tasks.lengths.tolist())]
        assert min(free) < 2
        return
    options = {"shuffle": shuffle, "length_sorted": length_sorted, "negatives": negatives}
    train = TrainEpisodes(tasks, EpisodeSizes(1, 3, 2), 2, seed, **options)
    for step in (0, 1, 7):
        assert_exact(train[step], tasks, {*catalogue.tolist()}, count)
    for batch in EvalEpisodes(tasks, EpisodeSizes(2, 2, None), 4, shuffle, negatives=negatives, seed=seed):
        assert_exact(batch, tasks, {*catalogue.tolist()}, count)
        break


def positives_of(batch: TaskBatch) -> list[tuple[list[int], list[int]]]:
    return [(divided(batch.support, number)[0], divided(batch.query, number)[0]) for number in range(len(batch.task))]


@pytest.mark.parametrize("order", ["random", "time"])
@pytest.mark.parametrize("length_sorted", [False, True])
def test_the_clicks_are_those_without_negatives(order: str, length_sorted: bool) -> None:
    with_them, without = (data_of(order=order, length_sorted=length_sorted, negatives=count) for count in (3, 0))
    for loader in ("train_dataloader", "val_dataloader", "test_dataloader"):
        for more, fewer in zip(getattr(with_them, loader)(), getattr(without, loader)(), strict=True):
            assert torch.equal(more.task, fewer.task)
            assert positives_of(more) == positives_of(fewer)


@settings(max_examples=20, deadline=None)
@given(
    steps=st.lists(st.integers(0, 10**5), min_size=1, max_size=6),
    seed=st.integers(0, 100),
    batch_size=st.sampled_from([2, 6, 16]),
    count=st.integers(1, 4),
    length_sorted=st.booleans(),
)
def test_a_batch_is_a_function_of_seed_and_step(
    steps: list[int], seed: int, batch_size: int, count: int, length_sorted: bool
) -> None:
    tasks = data_of().train_tasks
    negatives = Negatives(tasks, data_of().catalogue, count, "training")

    def episodes(rank: int = 0, ranks: int = 1) -> TrainEpisodes:
        options = (rank, ranks, length_sorted, negatives)
        return TrainEpisodes(tasks, EpisodeSizes(2, 6, 5), batch_size, seed, True, *options)

    used, shares = episodes(), [episodes(rank, 2) for rank in (0, 1)]
    for step in steps:
        batch = used[step]
        assert same(batch, episodes()[step])
        drawn = [(real(batch.support, n), real(batch.query, n)) for n in range(batch_size)]
        for rank, share in enumerate(shares):
            own = share[step]
            assert [(real(own.support, n), real(own.query, n)) for n in range(len(own.task))] == drawn[rank::2]


def test_what_was_rated_low_is_never_drawn_and_brings_negatives() -> None:
    ratings = likes(synthetic_ratings(users=60, items=ITEMS), threshold=4.0)
    data = EpisodeDataModule(ratings, SCENARIO, train_support=(2, 6), train_query=5, eval_support=4, negatives=40)
    for loader in ("train_dataloader", "test_dataloader"):
        disliked = 0
        for batch in getattr(data, loader)():
            for number, user in enumerate(batch.task.tolist()):
                own = dict(zip(ratings.item[ratings.user == user], ratings.rating[ratings.user == user], strict=True))
                for rows in (batch.support, batch.query):
                    found = np.array(real(rows, number)).reshape(-1, 41, 2)
                    assert all(own[item] == rating for item, rating in found[:, 0])
                    assert (found[:, 1:, 1] == 0).all()
                    assert not {*own} & {*found[:, 1:, 0].ravel()}
                    disliked += (found[:, 0, 1] == 0).sum()
        assert disliked


def test_what_a_known_user_rated_before_is_never_drawn(tmp_path: Path) -> None:
    """In the test, items of the training ratings too; and what is drawn differs, so the digest of the test does."""
    few = np.bincount(CLICKS.user)[CLICKS.user] < 90
    ratings = CLICKS.at(np.flatnonzero(few))
    listed = np.random.default_rng(0).permutation(len(ratings))[: len(ratings) // 4]
    lines = [f"{ratings.user_ids[ratings.user[row]]},{ratings.item_ids[ratings.item[row]]}\n" for row in listed]
    (tmp_path / "pairs.csv").write_text("user,item\n" + "".join(lines))
    scenario = ListedWarm(str(tmp_path / "pairs.csv"), min_ratings=8, max_ratings=100)
    data = EpisodeDataModule(ratings, scenario, eval_support=4, negatives=30)
    [*batches] = data.test_dataloader()
    seen = set()
    for batch in batches:
        for number, user in enumerate(batch.task.tolist()):
            known = {*ratings.item[data.split.train][ratings.user[data.split.train] == user].tolist()}
            drawn = {*divided(batch.support, number)[1], *divided(batch.query, number)[1]}
            assert not known & drawn
            assert drawn <= {*data.catalogue.tolist()}
            seen |= known
    assert seen
    fewer = EpisodeDataModule(ratings, scenario, eval_support=4, negatives=30)
    digest = fewer.test_digest
    dropped = np.flatnonzero(ratings.user == ratings.user[fewer.split.test[0]])
    fewer.known_tasks = pack(ratings, np.setdiff1d(fewer.split.known, dropped))
    assert {*fewer.catalogue.tolist()} == {*data.catalogue.tolist()}
    assert fewer.test_digest != digest


def test_every_episode_draws_anew() -> None:
    tasks = pack(CLICKS, np.flatnonzero(CLICKS.user == 3))
    negatives = Negatives(tasks, np.arange(1, ITEMS + 1), 4, "training")

    def drawn(seed: int, step: int) -> list[int]:
        return divided(TrainEpisodes(tasks, EpisodeSizes(3, 3, 2), 1, seed, True, negatives=negatives)[step].query, 0)[
            1
        ]

    assert drawn(0, 0) == drawn(0, 0)
    assert len({tuple(sorted(drawn(seed, step))) for seed in range(3) for step in range(POOL + 2)}) == 3 * (POOL + 2)


def judged(data: EpisodeDataModule, ranks: int = 1) -> dict[int, tuple[list, list]]:
    """Support and query rows of each test user."""
    options = (data.eval_sizes, data.eval_batch_size, data.shuffle)
    negatives = Negatives(data.test_tasks, data.catalogue, data.negatives, "test")
    each = [
        EvalEpisodes(data.test_tasks, *options, rank, ranks, negatives, data.scenario.seed) for rank in range(ranks)
    ]
    return {
        user: (real(batch.support, number), real(batch.query, number))
        for own in each
        for batch in map(own.__getitem__, range(len(own)))
        for number, user in enumerate(batch.task.tolist())
    }


@pytest.mark.parametrize("order", ["random", "time"])
def test_test_users_keep_their_negatives(order: str) -> None:
    expected = judged(data_of(order=order))
    assert expected == judged(data_of(order=order, eval_batch_size=1))
    assert expected == judged(data_of(order=order, eval_batch_size=3, seed=5), ranks=3)
    drawn = {tuple(sorted(item for item, rating in query if not rating)) for _, query in expected.values()}
    assert len(drawn) == len(expected)
    other = UserCold(SCENARIO.fractions, seed=1, min_ratings=8, max_ratings=100, train_max_ratings=100)
    elsewhere = EpisodeDataModule(CLICKS, other, negatives=3).test_digest
    digests = {data_of(order=order, negatives=count).test_digest for count in (0, 2, 3)}
    assert len(digests | {elsewhere}) == 4


@pytest.mark.parametrize("ranks", [1, 2])
def test_each_draw_of_a_test_user_has_negatives_of_its_own(ranks: int) -> None:
    expected, data = judged(data_of()), data_of(test_draws=2)
    negatives = Negatives(data.test_tasks, data.catalogue, data.negatives, "test")
    found: dict[int, list[tuple[list, list]]] = {}
    for rank in range(ranks):
        shares = rank, ranks, negatives, data.scenario.seed
        own = EvalEpisodes(data.test_tasks, data.eval_sizes, 7, True, *shares)
        for batch in map(own.__getitem__, range(len(own))):
            for number, user in enumerate(batch.task.tolist()):
                found.setdefault(user, []).append((real(batch.support, number), real(batch.query, number)))
    assert {user: first for user, (first, _) in found.items()} == expected
    for user, draws in found.items():
        clicked, sampled = ([{item for item, r in (*s, *q) if bool(r) == kind} for s, q in draws] for kind in (1, 0))
        assert clicked[0] == clicked[1]
        assert not clicked[0] & (sampled[0] | sampled[1])
        assert sampled[0] != sampled[1], user


def test_a_users_negatives_do_not_depend_on_other_users() -> None:
    data = data_of()
    expected = judged(data)
    user = list(expected)[4]
    alone = pack(data.ratings, data.split.test[data.ratings.user[data.split.test] == user])
    alone = PackedTasks(*alone)._replace(
        item=data.test_tasks.item[data.test_tasks.offset[4] : data.test_tasks.offset[5]]
    )
    negatives = Negatives(alone, data.catalogue, 3, "test")
    [batch] = [EvalEpisodes(alone, data.eval_sizes, 1, True, negatives=negatives, seed=data.scenario.seed)[0]]
    assert (real(batch.support, 0), real(batch.query, 0)) == expected[user]


def test_query_negatives_do_not_depend_on_the_support_size() -> None:
    """As the query's clicks do not, in random order with a query size of its own."""
    each = [judged(data_of(eval_support=size, eval_query=3)) for size in (1, 2, 4)]
    for user in each[0]:
        assert each[0][user][1] == each[1][user][1] == each[2][user][1]
        supports = [[item for item, rating in own[user][0] if not rating] for own in each]
        assert supports[1][: len(supports[0])] == supports[0]
        assert supports[2][: len(supports[1])] == supports[1]


def test_negatives_are_drawn_evenly() -> None:
    """Of one user's free items, in both sets, over many episodes."""
    user = 3
    tasks = pack(CLICKS, np.flatnonzero(CLICKS.user == user))
    catalogue = np.random.default_rng(0).permutation(ITEMS) + 1
    negatives = Negatives(tasks, catalogue, 5, "training")
    episodes = TrainEpisodes(tasks, EpisodeSizes(4, 4, 4), 1, 0, True, negatives=negatives)
    free = sorted({*catalogue.tolist()} - {*tasks.item.tolist()})
    batches = [episodes[step] for step in range(3000)]
    for side in ("support", "query"):
        items = torch.cat(
            [getattr(b, side).item[getattr(b, side).mask & (getattr(b, side).rating == 0)] for b in batches]
        )
        counts = torch.bincount(items, minlength=ITEMS + 1)
        expected = 3000 * 20 / len(free)
        assert counts[free].sum() == len(items) == 60_000
        # An episode draws from half of the items, so counts vary twice as much as those of independent draws, or more.
        assert ((counts[free] - expected).abs() < 8 * (2 + 20 / len(free)) ** 0.5 * expected**0.5).all()


def test_a_user_without_two_free_items_is_refused() -> None:
    tasks = PackedTasks(torch.tensor([1]), torch.tensor([0, 8]), torch.arange(1, 9), torch.ones(8))
    with pytest.raises(InputError, match=r"negatives 2: 1 of 1 test users have a rating of all 9 .*or of all but one"):
        Negatives(tasks, np.arange(1, 10), 2, "test")
    negatives = Negatives(tasks, np.arange(1, 11), 2, "test")
    batch = EvalEpisodes(tasks, EpisodeSizes(3, 3, None), 1, False, negatives=negatives)[0]
    found = [set(divided(rows, 0)[1]) for rows in (batch.support, batch.query)]
    assert sorted(found, key=min) == [{9}, {10}]


def test_lengths_and_buckets_count_negatives() -> None:
    ratings = clicked(synthetic_ratings(users=60, items=400))
    scenario = UserCold(min_ratings=12, max_ratings=390, train_max_ratings=390)
    sizes = {"train_support": (2, 150), "train_query": 5, "batch_size": 16}
    data = EpisodeDataModule(ratings, scenario, negatives=3, **sizes)
    seen = 0
    for batch in data.train_dataloader():
        length = batch.support.mask.sum(1)
        assert (length % 4 == 0).all()
        assert (length.diff() >= 0).all()
        assert batch.support.mask.shape[1] == length.max()
        seen += len(batch.buckets)
        for part in parts(batch):
            assert part.support.mask.any(0).all()
            assert part.query.mask.any(0).all()
        rows = sum(int(part.support.mask.sum()) for part in parts(batch))
        assert rows == int(batch.support.mask.sum())
    assert seen > 2


def test_only_clicks_have_negatives(ratings: Ratings) -> None:
    with pytest.raises(InputError, match=r"data.negatives 4: .* ratings in \[1.0, 5.0\]; give clicks"):
        EpisodeDataModule(ratings, UserCold(), negatives=4)
    with pytest.raises(InputError, match=r"data\.negatives -1: give a number >= 0"):
        EpisodeDataModule(CLICKS, UserCold(), negatives=-1)
