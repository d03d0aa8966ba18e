"""Learned maps of a score to a rating: increasing, close to the identity at first, able to become a staircase."""

import numpy as np
import pytest
import torch

from metarec.data.tasks import Rows
from metarec.errors import InputError
from metarec.nets.output import GAIN, SPREAD, MonotoneMap, OrderedLogit

STARS = torch.tensor([1.0, 3.0, 3.0, 4.0, 4.0, 4.0, 5.0, 5.0])
"""Training ratings."""


def made(pieces: int = 8) -> MonotoneMap:
    output = MonotoneMap(pieces).double()
    output.prepare((1.0, 5.0), STARS)
    return output


def test_it_is_the_identity_before_it_is_trained_and_constant_beyond_its_ends() -> None:
    inside, outside = torch.linspace(0.5, 5.5, 31).double(), torch.tensor([-3.0, 9.0]).double()
    torch.testing.assert_close(made()(inside), inside)
    torch.testing.assert_close(made()(outside), torch.tensor([0.5, 5.5]).double())


def test_it_is_numpys_interpolation_between_the_edges() -> None:
    output, score = made(), torch.linspace(0.0, 6.0, 50).double()
    with torch.no_grad():
        output.slope.copy_(0.03 * torch.randn(8, generator=torch.Generator().manual_seed(0)))
    steps = np.log1p(np.exp(GAIN * output.slope.detach().numpy() + np.log(np.e - 1))) * 0.625
    value = np.concatenate([[0.0], np.cumsum(steps)])
    expected = np.interp(score.numpy(), output.edge.numpy(), value - value[4] + 3.0)
    np.testing.assert_allclose(output(score).detach().numpy(), expected, atol=1e-12)


def test_it_keeps_the_order_of_scores_whatever_it_has_learned() -> None:
    output, score = made(), torch.linspace(0.51, 5.49, 200).double()
    with torch.no_grad():
        output.slope.copy_(0.1 * torch.randn(8, generator=torch.Generator().manual_seed(1)))
    assert (output(score).diff() > 0).all()


def test_gradients_are_those_of_finite_differences() -> None:
    output = made()
    score = torch.tensor([[0.9, 2.2, 3.3], [4.1, 5.2, 3.0]], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(output, (score,))
    assert torch.autograd.gradcheck(
        lambda slope: torch.func.functional_call(output, {"slope": slope}, score), output.slope
    )


def test_trained_on_the_absolute_error_it_learns_the_median_of_whole_stars() -> None:
    """Synthetic: the star is the score rounded, so the best map is the staircase, but for the pieces at its steps."""
    torch.manual_seed(0)
    output, score = MonotoneMap(40), 1 + 4 * torch.rand(4000)
    output.prepare((1.0, 5.0), STARS)
    star = score.round()
    optimizer = torch.optim.Adam(output.parameters(), lr=0.003)
    for _ in range(300):
        optimizer.zero_grad()
        error = (output(score) - star).abs().mean()
        error.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    assert float((score - star).abs().mean()) > 0.24
    assert float(error.detach()) < 0.08


def test_too_few_pieces_are_refused() -> None:
    for pieces, message in ((1, "pieces 1: give a number >= 2"), (3, "pieces 3: give an even number")):
        with pytest.raises(InputError, match=message):
            MonotoneMap(pieces)


def logit(moved: bool = True) -> OrderedLogit:
    torch.manual_seed(0)
    output = OrderedLogit(hidden=6).double()
    output.prepare((1.0, 5.0), STARS.double())
    if moved:
        torch.nn.init.normal_(output.own[2].weight, std=0.3)
    return output


def support_rows() -> Rows:
    rating = torch.tensor([[5.0, 4.0, 5.0, 0.0], [1.0, 2.0, 5.0, 3.0]], dtype=torch.float64)
    mask = torch.tensor([[True, True, True, False], [True] * 4])
    return Rows(torch.ones(2, 4, dtype=torch.int64), rating, mask)


def test_an_ordered_logit_is_the_mean_of_its_model_level_by_level() -> None:
    output, score = logit(), torch.tensor([[3.2, 1.0, 4.9], [2.0, 3.6, 4.4]], dtype=torch.float64)
    habits = torch.randn(2, 7, generator=torch.Generator().manual_seed(1)).double()
    moves = output.own(habits).detach().numpy()
    for task, row in enumerate(score.numpy()):
        threshold = np.array([1.5, 2.5, 3.5, 4.5]) + moves[task, :4]
        for found, value in zip(output(score, habits)[task].tolist(), row, strict=True):
            above = 1 / (1 + np.exp(-(value - threshold) / (SPREAD * np.exp(moves[task, 4]))))
            below = np.concatenate([[1.0], above])
            chance = below - np.concatenate([above, [0.0]])  # of each level
            assert chance.sum() == pytest.approx(1.0)
            assert found == pytest.approx(float((chance * np.arange(1, 6)).sum()))


def test_habits_are_shares_of_levels_error_and_size_user_by_user() -> None:
    output, rows = logit(), support_rows()
    fitted = torch.tensor([[4.5, 4.5, 4.5, 9.0], [2.0, 2.0, 4.0, 3.5]], dtype=torch.float64)
    common = np.array([1, 0, 2, 3, 2]) / 8
    first = (np.array([0, 0, 0, 1, 2]) + 3 * common) / 6 - common
    second = (np.array([1, 1, 1, 0, 1]) + 3 * common) / 7 - common
    expected = [[*first, 0.5, np.log(3) / 3], [*second, (1 + 0 + 1 + 0.5) / 4, np.log(4) / 3]]
    np.testing.assert_allclose(output.habits(rows, fitted).numpy(), expected, atol=1e-12)


def test_an_ordered_logit_keeps_the_order_of_a_users_scores_and_stays_on_the_scale() -> None:
    score = torch.linspace(-2, 8, 300).double().expand(2, -1)
    found = logit()(score, logit().habits(support_rows(), support_rows().rating))
    assert (found.diff(dim=1) >= 0).all()
    assert (found[:, 100:200].diff(dim=1) > 0).all()
    assert 1 <= float(found.detach().min()) <= float(found.detach().max()) <= 5


def test_before_training_all_users_are_typical_and_the_middle_of_the_scale_stays() -> None:
    output, score = logit(moved=False), torch.tensor([[3.0, 2.5, 4.0]] * 2, dtype=torch.float64)
    found = output(score, output.habits(support_rows(), support_rows().rating))
    torch.testing.assert_close(found, output(score))
    torch.testing.assert_close(found, score, atol=0.05, rtol=0)


def test_trained_on_the_absolute_error_it_learns_each_users_own_stars() -> None:
    """Synthetic: half of the users round up, half round down; no map that all users share can serve both."""
    torch.manual_seed(0)
    score, kind = 1.5 + 3 * torch.rand(400, 12), torch.arange(400).unsqueeze(1) % 2
    star = torch.where(kind == 0, score.floor(), score.ceil())
    output = OrderedLogit()
    output.prepare((1.0, 5.0), star.flatten())
    rows = Rows(torch.ones(400, 8, dtype=torch.int64), star[:, :8], torch.ones(400, 8, dtype=torch.bool))
    optimizer = torch.optim.Adam(output.parameters(), lr=0.02)
    for _ in range(300):
        optimizer.zero_grad()
        error = (output(score[:, 8:], output.habits(rows, score[:, :8])) - star[:, 8:]).abs().mean()
        error.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    shared = (score.round() - star)[:, 8:].abs().mean()
    assert float(error.detach()) < 0.7 * float(shared)


def test_an_ordered_logit_that_cannot_be_is_refused() -> None:
    for options in ({"levels": 1}, {"hidden": 0}, {"shrinkage": -1.0}):
        with pytest.raises(InputError, match=f"{next(iter(options))} .*: give a number >= "):
            OrderedLogit(**options)
