"""Plain numpy, one user at a time, is the oracle."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from metarec.metrics import catalogue, ranks
from metarec.metrics.catalogue import catalogue_ranks, chosen, coverage, log_missed, novelty, self_information
from metarec.metrics.ranking import query_ranks
from tests.metrics.test_functional import same

BY_RANKS = (ranks.ndcg, ranks.recall, ranks.precision, ranks.hit, ranks.reciprocal_rank, ranks.average_precision)


def scored(seed: int, tasks: int = 12, items: int = 40, *, ties: bool = False) -> tuple[Tensor, Tensor, Tensor]:
    """Scores with some items seen, places of eight query items each, some not in the catalogue, and relevant ones."""
    random = torch.Generator().manual_seed(seed)
    scores = torch.randn(tasks, items, generator=random)
    scores = (scores * 2).round() / 2 if ties else scores
    scores[torch.rand(tasks, items, generator=random) < 0.2] = -torch.inf
    place = torch.rand(tasks, items, generator=random).argsort(1)[:, :8]
    place[torch.rand(tasks, 8, generator=random) < 0.2] = -1
    return scores, place, torch.rand(tasks, 8, generator=random) < 0.5


@pytest.mark.parametrize("block", [1, 7, 65536])
@pytest.mark.parametrize("ties", [False, True])
def test_ranks_are_those_of_counting(ties: bool, block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalogue, "BLOCK", block)
    scores, place, relevant = scored(1, ties=ties)
    found = catalogue_ranks(scores, place, relevant, torch.ones(12, dtype=torch.bool))
    checked = 0
    for task, row in enumerate(scores.numpy()):
        assert found.candidates[task] == np.isfinite(row).sum()
        for column, item in enumerate(place[task].tolist()):
            there = bool(relevant[task, column]) and item >= 0 and np.isfinite(row[item])
            assert found.relevant[task, column] == there
            if there:
                assert found.above[task, column] == (row > row[item]).sum()
                assert found.tied[task, column] == (row == row[item]).sum()
                checked += 1
    assert checked > 20


@given(seed=st.integers(0, 2**32), k=st.integers(1, 12), ties=st.booleans())
@settings(max_examples=20, deadline=None)
def test_metrics_are_those_of_a_query_set_that_is_the_catalogue(seed: int, k: int, ties: bool) -> None:
    scores, place, relevant = scored(seed, ties=ties)
    whole = torch.zeros_like(scores)
    inside = relevant & (place >= 0)
    owner = torch.arange(len(scores))[:, None].expand_as(place)
    whole[owner[inside], place[inside]] = 5.0
    stand = catalogue_ranks(scores, place, relevant, torch.ones(len(scores), dtype=torch.bool))
    plain = query_ranks(scores, whole, scores.isfinite(), 4.0)
    for metric in BY_RANKS:
        same(metric(stand, k), metric(plain, k))
    columns = torch.randperm(40, generator=torch.Generator().manual_seed(seed))
    moved = torch.where(place >= 0, columns.argsort()[place.clamp(min=0)], -1)
    again = catalogue_ranks(scores[:, columns], moved, relevant, stand.sound)
    assert torch.equal(again.above[stand.relevant], stand.above[stand.relevant])
    assert torch.equal(again.tied[stand.relevant], stand.tied[stand.relevant])


def test_an_unsound_task_has_no_value() -> None:
    scores, place, relevant = scored(2)
    sound = torch.ones(12, dtype=torch.bool)
    sound[3] = False
    assert ranks.hit(catalogue_ranks(scores, place, relevant, sound), 5)[3].isnan()


def test_what_is_chosen_without_ties_is_the_top() -> None:
    scores, _, _ = scored(3)
    likely = chosen(scores, 5)
    for row, own in zip(scores.numpy(), likely.numpy(), strict=True):
        assert set(np.flatnonzero(own == 1)) == set(np.argsort(-row)[:5])
        assert own.sum() == 5


def test_ties_share_what_is_left_of_the_top() -> None:
    scores = torch.tensor([[3.0, 1.0, 1.0, 1.0, 0.0], [-torch.inf, -torch.inf, -torch.inf, 1.0, 2.0]])
    likely = chosen(scores, 2)
    torch.testing.assert_close(likely[0], torch.tensor([1.0, 1 / 3, 1 / 3, 1 / 3, 0.0]))
    assert not likely[1].any()  # two candidates: no choice
    assert novelty(likely, torch.ones(5).double(), 2).isnan().tolist() == [False, True]


def test_coverage_counts_the_items_that_somebody_is_recommended() -> None:
    scores, _, _ = scored(4)
    missed = log_missed(chosen(scores[:5], 3)) + log_missed(chosen(scores[5:], 3))
    there = {item for row in scores.numpy() for item in np.argsort(-row)[:3]}
    assert coverage(missed).item() == pytest.approx(len(there) / 40)


def test_coverage_under_ties_is_what_random_choices_cover_on_average() -> None:
    scores, _, _ = scored(5, tasks=4, items=15, ties=True)
    scores.clamp_(max=0.0)
    random = np.random.default_rng(0)
    drawn = []
    for _ in range(4000):
        broken = [np.lexsort((random.random(15), -row))[:3] for row in scores.numpy()]
        drawn.append(len(np.unique(broken)) / 15)
    expected = coverage(log_missed(chosen(scores, 3))).item()
    assert np.std(drawn) > 0.01
    assert abs(np.mean(drawn) - expected) < 4 * np.std(drawn) / np.sqrt(4000)


def test_coverage_by_chance() -> None:
    """One score for all: each of U users takes K of C items at random."""
    value = coverage(log_missed(chosen(torch.zeros(7, 50), 5))).item()
    assert value == pytest.approx(1 - (1 - 5 / 50) ** 7, abs=1e-6)


def test_self_information_in_bits() -> None:
    found = self_information(torch.tensor([8, 4, 1, 0]), 8)
    assert found.tolist() == [0.0, 1.0, 3.0, 3.0]


def test_novelty_is_the_mean_self_information_of_the_top() -> None:
    scores, _, _ = scored(6)
    information = self_information(torch.arange(1, 41), 64)
    values = novelty(chosen(scores, 4), information, 4)
    for row, value in zip(scores.numpy(), values.tolist(), strict=True):
        shares = (np.argsort(-row)[:4] + 1) / 64
        assert value == pytest.approx(-np.log2(shares).mean(), abs=1e-6)
