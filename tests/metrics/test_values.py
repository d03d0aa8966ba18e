"""Metrics that match values: plain lists, from which used values are struck, over every order of ties."""

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

from metarec.metrics import values
from metarec.metrics.values import map_values, precision_values
from tests.metrics.test_functional import draw, full, one, same

METRICS: dict[str, Callable[..., Tensor]] = {"precision": precision_values, "map": map_values}
every_metric = pytest.mark.parametrize("name", METRICS)


def of_list(name: str, ratings: list[float], k: int) -> float:
    """The metric of the ratings of one list of which the best comes first."""
    left, hits, sums = sorted(ratings)[-k:], 0, 0.0
    for rank, rating in enumerate(ratings[:k], start=1):
        if rating in left:
            left.remove(rating)
            hits += 1
            sums += hits / rank
    return hits / k if name == "precision" else sums / k


def expected(name: str, score: list[float], rating: list[float], k: int) -> float:
    """Mean over all orders that keep better scores in front."""
    found = [
        of_list(name, [rating[row] for row in order], k)
        for order in itertools.permutations(range(len(score)))
        if all(score[a] >= score[b] for a, b in itertools.pairwise(order))
    ]
    return sum(found) / len(found)


def test_doc_examples() -> None:
    result = doctest.testmod(values, extraglobs={"torch": torch})
    assert result.attempted >= 4
    assert result.failed == 0


@pytest.mark.parametrize("k", [1, 3, 5])
@every_metric
def test_without_ties_it_is_the_list(name: str, k: int) -> None:
    score, rating, mask = draw(k, tasks=60)
    checked = 0
    for value, own, label, row in zip(METRICS[name](score, rating, mask, k), score, rating, mask, strict=True):
        if row.sum() > k:
            ordered = label[row][own[row].argsort(descending=True)].tolist()
            assert value.item() == pytest.approx(of_list(name, ordered, k), abs=1e-12)
            checked += 1
        else:
            assert value.isnan()
    assert checked > 15


@pytest.mark.parametrize("scale", [2, 4, 50])
@pytest.mark.parametrize("k", [1, 2, 4, 5])
@every_metric
def test_ties_are_the_mean_over_all_orders(name: str, k: int, scale: int) -> None:
    random = torch.Generator().manual_seed(k + scale)
    score = torch.randint(0, 3, (12, 6), generator=random).double()
    score[0] = 1.0
    rating = torch.randint(1, scale + 1, (12, 6), generator=random).double()
    for value, own, label in zip(METRICS[name](score, rating, full(rating), k), score, rating, strict=True):
        assert value.item() == pytest.approx(expected(name, own.tolist(), label.tolist(), k), abs=1e-12)


@every_metric
def test_random_orders_score_the_constant_prediction_on_average(name: str) -> None:
    rating = one([5, 3, 4, 1, 2, 2, 5, 3, 3, 1, 4, 4]).expand(20_000, 12)
    random = torch.rand(rating.shape, generator=torch.Generator().manual_seed(2))
    found = METRICS[name](random, rating, full(rating), 7)
    chance = METRICS[name](torch.zeros_like(rating[:1]), rating[:1], full(rating[:1]), 7).item()
    error = found.std().item() / math.sqrt(len(found))
    assert abs(found.mean().item() - chance) < 4 * error < 0.02


@every_metric
def test_equal_ratings_and_perfect_orders_score_one(name: str) -> None:
    rating = one([5, 4, 4, 2, 1, 1.5])
    for score, label in ((rating, rating), (rating, rating * 0), (rating * 0, rating * 0 + 3)):
        assert METRICS[name](score, label, full(rating), 3).item() == pytest.approx(1)
    upside_down = METRICS[name](-rating, rating, full(rating), 3)
    assert upside_down.item() == 0


@every_metric
@given(seed=st.integers(0, 2**32), k=st.integers(1, 6))
@settings(max_examples=25, deadline=None)
def test_columns_and_tasks_and_names_of_values_do_not_matter(name: str, seed: int, k: int) -> None:
    metric = partial(METRICS[name], k=k)
    score, rating, mask = draw(seed, ties=bool(seed % 2))
    found = metric(score, rating, mask)
    random = torch.Generator().manual_seed(seed)
    columns = torch.rand(score.shape, generator=random).argsort(1)
    same(metric(*(part.gather(1, columns) for part in (score, rating, mask))), found)
    order = torch.randperm(len(found), generator=random)
    same(metric(score[order], rating[order], mask[order]), found[order])
    same(metric(score * 4, rating * 2 - 20, mask), found)
    kept = found[found.isfinite()]
    assert ((kept >= -1e-12) & (kept <= 1 + 1e-12)).all()


@every_metric
@given(seed=st.integers(0, 2**32), extra=st.integers(0, 5), junk=st.sampled_from([math.nan, math.inf, -1e30, 99.0]))
@settings(max_examples=20, deadline=None)
def test_padding_does_not_matter(name: str, seed: int, extra: int, junk: float) -> None:
    score, rating, mask = draw(seed, ties=True)
    more = torch.full((len(mask), extra), junk, dtype=torch.float64)
    padded = [torch.cat([part.masked_fill(~mask, junk), more], 1) for part in (score, rating)]
    longer = torch.cat([mask, torch.zeros_like(more, dtype=torch.bool)], 1)
    same(METRICS[name](*padded, longer, 3), METRICS[name](score, rating, mask, 3))


@every_metric
def test_tasks_without_a_value_are_nan(name: str) -> None:
    score = torch.arange(20.0).reshape(5, 4)
    rating = torch.tensor([[4.0, 1.0, 1.0, 5.0]]).repeat(5, 1)
    mask = full(rating)
    mask[1, :2] = False  # as many rows as ranks
    mask[2] = False
    score[3, 1], rating[4, 1] = math.nan, math.inf
    assert METRICS[name](score, rating, mask, 2).isnan().tolist() == [False, True, True, True, True]
    assert METRICS[name](score, rating, mask, 4).isnan().all()
    assert METRICS[name](score[:0], rating[:0], mask[:0], 2).shape == (0,)
    for k in (0, True, 2.0):
        with pytest.raises(ValueError, match="at least 1"):
            METRICS[name](score, rating, mask, k)
