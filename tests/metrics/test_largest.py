"""The M largest are relevant: RecBole's definitions over every order of both kinds of ties are the oracle."""

import doctest
import itertools
import math
from collections.abc import Callable
from functools import partial

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from metarec.metrics import largest, ranking
from tests.metrics.test_functional import draw, full, one, same
from tests.metrics.test_ranking import plainly

METRICS: dict[str, Callable[..., Tensor]] = {
    "precision": largest.precision,
    "recall": largest.recall,
    "hit": largest.hit,
    "mrr": largest.reciprocal_rank,
    "ndcg": largest.ndcg,
}
every_metric = pytest.mark.parametrize("name", METRICS)


def of_list(name: str, order: list[bool], k: int) -> float:
    """The metric of one list of which the best comes first."""
    if name != "ndcg":
        return plainly(name, order, k)
    gains = [1 / math.log2(1 + rank) for rank in range(1, k + 1)]
    return sum(gain for gain, good in zip(gains, order, strict=False) if good) / sum(gains[: sum(order)])


def expected(name: str, score: list[float], rating: list[float], k: int, most: int) -> float:
    """Mean over all choices of the largest, and all orders that keep better scores in front."""
    rows = range(len(score))
    choices = [set(c) for c in itertools.combinations(rows, most) if _largest(rating, set(c))]
    orders = [o for o in itertools.permutations(rows) if all(score[a] >= score[b] for a, b in itertools.pairwise(o))]
    values = [of_list(name, [row in good for row in order], k) for good in choices for order in orders]
    return sum(values) / len(values)


def _largest(rating: list[float], chosen: set[int]) -> bool:
    return min(rating[row] for row in chosen) >= max(rating[row] for row in set(range(len(rating))) - chosen)


def test_doc_examples() -> None:
    result = doctest.testmod(largest, extraglobs={"torch": torch})
    assert result.attempted >= 10
    assert result.failed == 0


@pytest.mark.parametrize(("k", "most"), [(1, 1), (2, 3), (3, 2), (4, 5), (5, 4)])
@every_metric
def test_ties_are_the_mean_over_all_choices_and_orders(name: str, k: int, most: int) -> None:
    random = torch.Generator().manual_seed(10 * k + most)
    score = torch.randint(0, 3, (12, 6), generator=random).double()
    rating = torch.randint(3, 6, (12, 6), generator=random).double()
    for value, own, label in zip(METRICS[name](score, rating, full(rating), k, most), score, rating, strict=True):
        assert value.item() == pytest.approx(expected(name, own.tolist(), label.tolist(), k, most), abs=1e-12)


@every_metric
def test_without_ties_it_is_the_metric_of_a_threshold(name: str) -> None:
    score = torch.rand(40, 9, generator=torch.Generator().manual_seed(1))
    rating = torch.rand(40, 9, generator=torch.Generator().manual_seed(2)).argsort(1).double()
    theirs = {
        "precision": ranking.precision,
        "recall": ranking.recall,
        "hit": ranking.hit_rate,
        "mrr": ranking.reciprocal_rank,
        "ndcg": ranking.binary_ndcg,
    }[name]
    same(METRICS[name](score, rating, full(rating), 3, 4), theirs(score, rating, full(rating), 3, relevant=5.0))


@given(rows=st.integers(2, 14), k=st.integers(1, 8), most=st.integers(1, 8))
@settings(max_examples=60, deadline=None)
def test_a_constant_prediction_scores_chance(rows: int, k: int, most: int) -> None:
    rating = one([float(1 + row % 5) for row in range(rows)])
    found = {
        name: metric(torch.ones_like(rating), rating, full(rating), k, most).item() for name, metric in METRICS.items()
    }
    if rows <= max(k, most):
        assert all(math.isnan(value) for value in found.values())
        return
    ways, gains = math.comb(rows, most), [1 / math.log2(1 + rank) for rank in range(1, k + 1)]
    chance = {
        "precision": most / rows,
        "recall": k / rows,
        "hit": 1 - math.comb(rows - most, k) / math.comb(rows, k),
        "mrr": sum(math.comb(rows - rank, most - 1) / ways / rank for rank in range(1, k + 1)),
        "ndcg": most / rows * sum(gains) / sum(gains[:most]),
    }
    assert found == pytest.approx(chance, abs=1e-12)


def test_chance_of_five_of_ten_is_what_was_computed_for_the_published_tables() -> None:
    rating = one([5, 4, 4, 4, 3, 3, 3, 2, 2, 1])
    found = [round(METRICS[name](rating * 0, rating, full(rating), 5, 5).item(), 3) for name in METRICS]
    assert found == [0.5, 0.5, 0.996, 0.704, 0.5]


@every_metric
def test_a_perfect_order_scores_best_and_equal_ratings_chance(name: str) -> None:
    rating = one([5, 4, 3, 2, 1, 1.5])
    best = 1.0 if name != "recall" else 3 / 4
    assert METRICS[name](rating, rating, full(rating), 3, 4).item() == pytest.approx(best)
    flat = METRICS[name](rating, rating * 0, full(rating), 3, 4)
    same(flat, METRICS[name](rating * 0, rating, full(rating), 3, 4))


@every_metric
@given(seed=st.integers(0, 2**32), k=st.integers(1, 5), most=st.integers(1, 5))
@settings(max_examples=25, deadline=None)
def test_columns_and_tasks_and_monotone_changes_do_not_matter(name: str, seed: int, k: int, most: int) -> None:
    metric = partial(METRICS[name], k=k, most=most)
    score, rating, mask = draw(seed, ties=bool(seed % 2))
    values = metric(score, rating, mask)
    random = torch.Generator().manual_seed(seed)
    columns = torch.rand(score.shape, generator=random).argsort(1)
    same(metric(*(part.gather(1, columns) for part in (score, rating, mask))), values)
    order = torch.randperm(len(values), generator=random)
    same(metric(score[order], rating[order], mask[order]), values[order])
    same(metric(score * 4, rating.square() + 1, mask), values)
    kept = values[values.isfinite()]
    assert ((kept >= -1e-12) & (kept <= 1 + 1e-12)).all()


@every_metric
@given(seed=st.integers(0, 2**32), extra=st.integers(0, 5), junk=st.sampled_from([math.nan, math.inf, -1e30, 99.0]))
@settings(max_examples=20, deadline=None)
def test_padding_does_not_matter(name: str, seed: int, extra: int, junk: float) -> None:
    score, rating, mask = draw(seed, ties=True)
    more = torch.full((len(mask), extra), junk, dtype=torch.float64)
    padded = [torch.cat([part.masked_fill(~mask, junk), more], 1) for part in (score, rating)]
    longer = torch.cat([mask, torch.zeros_like(more, dtype=torch.bool)], 1)
    same(METRICS[name](*padded, longer, 3, 2), METRICS[name](score, rating, mask, 3, 2))


@pytest.mark.fault("empty-truth")
@every_metric
def test_tasks_without_a_value_are_nan(name: str) -> None:
    score = torch.arange(20.0).reshape(5, 4)
    rating = torch.tensor([[4.0, 1.0, 1.0, 5.0]]).repeat(5, 1)
    mask = full(rating)
    mask[1, :2] = False  # as many rows as ranks
    mask[2] = False
    score[3, 1], rating[4, 1] = math.nan, math.inf
    assert METRICS[name](score, rating, mask, 2, 1).isnan().tolist() == [False, True, True, True, True]
    assert METRICS[name](score, rating, mask, 1, 2).isnan().tolist() == [False, True, True, True, True]
    assert METRICS[name](score, rating, mask, 4, 1).isnan().all()
    assert METRICS[name](score[:0], rating[:0], mask[:0], 2, 1).shape == (0,)
    for k, most in ((0, 1), (1, 0), (True, 1), (1, 2.0)):
        with pytest.raises(ValueError, match="at least 1"):
            METRICS[name](score, rating, mask, k, most)
