"""What nets say they are linear in: the coefficients that they name, moved, score what they say."""

import pytest
import torch

from metarec.data.ratings import Ratings
from metarec.errors import InputError
from metarec.nets.base import NoNet, linear_width
from tests.nets.tiny import TINY

COEFFICIENTS = {"fm": ("user_prior", "user_bias"), "gmf": ("user_prior", "user_bias")}
TASK, ITEM = torch.arange(1, 5), torch.arange(1, 13).view(4, 3)


@pytest.mark.parametrize("name", TINY)
def test_coefficients_that_move_score_what_the_net_says(name: str, ratings: Ratings) -> None:
    net = TINY[name](ratings).double().eval()
    input, score = net.linear(TASK, ITEM)
    torch.testing.assert_close(score, net(TASK, ITEM))
    assert input.shape == (4, 3, linear_width(net, "this test"))
    assert (input[..., -1] == 1).all()
    delta = torch.randn(input.shape[-1], generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    vector, constant = COEFFICIENTS.get(name, ("head.weight", "head.bias"))
    with torch.no_grad():
        net.decoder.get_parameter(vector).add_(delta[:-1])
        net.decoder.get_parameter(constant).add_(delta[-1])
    torch.testing.assert_close(net(TASK, ITEM), score + input @ delta)


def test_dropout_drops_the_same_of_input_and_score(ratings: Ratings) -> None:
    torch.manual_seed(0)
    net = TINY["gmf"](ratings, dropout=0.5).train()
    input, score = net.linear(TASK, ITEM)
    own = net.encoder(TASK, ITEM)
    user = own.user + net.decoder.user_prior
    expected = (input[..., :-1] * user).sum(-1) + own.bias + net.decoder.user_bias + net.decoder.mean
    torch.testing.assert_close(score, expected)
    assert (input[..., :-1] == 0).any()


def test_nothing_is_linear_in_no_net(ratings: Ratings) -> None:
    with pytest.raises(InputError, match="RidgeHead needs a net that is linear"):
        linear_width(NoNet(ratings.schema), "RidgeHead")
