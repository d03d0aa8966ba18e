"""Losses of clicks: BPR against a loop over pairs, and who takes which loss on which data."""

import inspect

import numpy as np
import pytest
import torch
from torch import nn

from metarec.algorithms.amortised.lwa import ClassMeans
from metarec.algorithms.closed_form.ridge import RidgeHead
from metarec.algorithms.losses import BINARY_CROSS_ENTROPY, BPR, SQUARED_ERROR, loss_named
from metarec.algorithms.sets import SetEncoder
from metarec.data.ratings import Ratings
from metarec.data.sources import clicks
from metarec.data.tasks import Rows, TaskBatch, pack
from metarec.errors import InputError
from tests.algorithms.test_contract import TRAINED, padded
from tests.conftest import clicked, tiny_net

VARIANTS = ("ridge_head_mapped", "ridge_head_ordered", "ridge_head_neighbours")
"""Of the ridge head, which the tests take once."""
KINDS = {kind: make for kind, make in TRAINED.items() if kind not in VARIANTS}
REFUSES = ("ridge_head", "prototype")


def rows_of(seed: int, tasks: int = 12, width: int = 9) -> tuple[torch.Tensor, Rows]:
    """Random scores and clicks; some tasks without a click, without anything else, or without rows."""
    random = torch.Generator().manual_seed(seed)
    score = torch.randn(tasks, width, generator=random, dtype=torch.float64)
    share = torch.linspace(0, 1, tasks).unsqueeze(1)
    rating = (torch.rand(tasks, width, generator=random) < share).double()
    mask = torch.rand(tasks, width, generator=random) < 0.7
    mask[5] = False
    return score, Rows(torch.ones_like(mask, dtype=torch.int64), rating, mask)


@pytest.mark.parametrize("shrinkage", [0.0, 2.5])
def test_bpr_is_the_mean_over_all_pairs(shrinkage: float) -> None:
    score, rows = rows_of(0)
    found = BPR.of_tasks(score, rows, shrinkage).tolist()
    empty = 0
    for number, value in enumerate(found):
        own = rows.mask[number]
        s, y = score[number][own].numpy(), rows.rating[number][own].numpy()
        pairs = [np.log1p(np.exp(q - p)) for p in s[y == 1] for q in s[y == 0]]
        expected = np.mean(pairs) * len(s) / (len(s) + shrinkage) if pairs else 0.0
        assert value == pytest.approx(expected, abs=1e-12)
        empty += not pairs
    assert 2 < empty < len(found) - 2


def test_bpr_has_two_derivatives_none_where_there_is_no_pair() -> None:
    score, rows = rows_of(1, tasks=6, width=5)
    score.requires_grad_()

    def loss(score: torch.Tensor) -> torch.Tensor:
        return BPR.of_tasks(score, rows)

    assert torch.autograd.gradcheck(loss, score)
    assert torch.autograd.gradgradcheck(loss, score)
    [slope] = torch.autograd.grad(loss(score).sum(), score)
    alone = (loss(score) == 0).unsqueeze(1)
    assert alone.any()
    assert (slope[(alone | ~rows.mask)] == 0).all()


def test_padding_and_the_level_of_the_scores_do_not_matter_to_bpr() -> None:
    score, rows = rows_of(2)
    expected = BPR.of_tasks(score, rows)
    torch.testing.assert_close(BPR.of_tasks(score + 7.0, rows), expected, rtol=0, atol=1e-12)
    wider = torch.nn.functional.pad(score, (0, 3), value=50.0)
    torch.testing.assert_close(BPR.of_tasks(wider, padded(rows, 3)), expected, rtol=0, atol=1e-12)


def test_bpr_bounds_the_pairs_in_the_wrong_order() -> None:
    from metarec.metrics.functional import auc

    score, rows = rows_of(3, tasks=200, width=20)
    wrong = 1 - auc(score, rows.rating, rows.mask)
    has_pairs = wrong.isfinite()
    assert (BPR.of_tasks(score, rows)[has_pairs] / np.log(2) >= wrong[has_pairs]).all()


def test_what_a_score_stands_for() -> None:
    score = torch.tensor([-1.0, 0.0, 3.0])
    assert torch.equal(SQUARED_ERROR.expected(score), score)
    assert torch.equal(BINARY_CROSS_ENTROPY.expected(score), score.sigmoid())
    assert torch.equal(BPR.expected(score), score.sigmoid())
    with pytest.raises(InputError, match=r"no loss 'brp'; known are .*'bpr'"):
        loss_named("brp")


@pytest.mark.parametrize("loss", ["binary_cross_entropy", "bpr"])
@pytest.mark.parametrize("kind", KINDS)
def test_every_algorithm_with_a_loss_takes_those_of_clicks(
    kind: str, loss: str, ratings: Ratings, batch: TaskBatch
) -> None:
    """On clicks alone; those that predict ratings whatever they are trained by take none of them."""
    make = type(KINDS[kind](tiny_net(ratings)))
    assert "loss" in inspect.signature(make).parameters
    if kind in REFUSES:
        with pytest.raises(InputError, match=f"loss {loss}: .*; give squared_error or absolute_error"):
            make(tiny_net(ratings), loss=loss)
        return
    algorithm = make(tiny_net(ratings), loss=loss)
    rows = np.arange(len(ratings))
    with pytest.raises(InputError, match=rf"loss {loss}: ratings in \[1.0, 5.0\]; give targets in \[0, 1\]"):
        algorithm.prepare(ratings, pack(ratings, rows))
    chosen = clicks(ratings)
    algorithm.prepare(chosen, pack(chosen, np.arange(len(chosen))))
    value = algorithm.loss(clicked(batch))
    value.backward()
    assert value.isfinite()
    assert any(parameter.grad is not None and parameter.grad.abs().sum() > 0 for parameter in algorithm.parameters())


@pytest.mark.parametrize("kind", ["conditional_process", "hypernetwork", "tanp", "lwa", "nlba", "dropout_net"])
def test_what_a_click_leaves_is_measured_from_its_probability(
    kind: str, ratings: Ratings, batch: TaskBatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever a support set is encoded from lies between 0 and 1, or -1 and 1, where scores are far above."""
    seen = []

    def recorded(self: nn.Module, vector: object, value: torch.Tensor, rows: Rows) -> torch.Tensor:
        seen.append(value)
        return original(self, vector, value, rows)

    layer = ClassMeans if kind in ("lwa", "nlba") else SetEncoder
    original = layer.forward
    monkeypatch.setattr(layer, "forward", recorded)
    net = tiny_net(ratings)
    with torch.no_grad():
        net.decoder.user_bias += 7.0
    algorithm = type(KINDS[kind](net))(net, loss="bpr")
    given = clicked(batch)
    fast = algorithm.adapt(given.task, given.support)
    if kind == "dropout_net":
        left = given.support.rating - algorithm.predict({}, given.task, given.support.item).sigmoid()
        vectors = net.encoder(given.task, given.support.item).item * given.support.mask.unsqueeze(2)
        seen.append(left)
        expected = (left.unsqueeze(2) * vectors).sum(1) / (given.support.mask.sum(1, keepdim=True) + 1)
        torch.testing.assert_close(fast["preference"], expected)
    assert seen
    for value in seen:
        assert value.abs().max() < 1
        assert value.abs().max() > 0.5


def test_an_error_of_ratings_takes_any_ratings(ratings: Ratings) -> None:
    chosen = clicks(ratings)
    RidgeHead(tiny_net(ratings)).prepare(chosen, pack(chosen, np.arange(len(chosen))))
