"""The learned map of a score to a rating: increasing, the identity at first, and able to become a staircase."""

import numpy as np
import pytest
import torch

from metarec.errors import InputError
from metarec.nets.output import GAIN, MonotoneMap


def made(pieces: int = 8) -> MonotoneMap:
    output = MonotoneMap(pieces).double()
    output.prepare((1.0, 5.0))
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
    output.prepare((1.0, 5.0))
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
