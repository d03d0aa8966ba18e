"""Id vectors: the base that is trained under them, and what the two methods on top of it have in common."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from metarec.algorithms.amortised.ids import IdVectors
from metarec.algorithms.amortised.metaemb import MetaEmb
from metarec.algorithms.amortised.mwuf import MWUF
from metarec.algorithms.losses import SQUARED_ERROR
from metarec.data.ratings import Ratings
from metarec.data.sources import swapped
from metarec.data.tasks import PackedTasks, TaskBatch, pack
from metarec.errors import InputError
from metarec.nets.base import Net, NoNet
from tests.algorithms.amortised.plain import double, emptied, randomised, under
from tests.conftest import tiny_melu, tiny_net
from tests.nets.tiny import TINY, WITH_PRIOR

Made = MetaEmb | MWUF
METHODS: list[Callable[..., Made]] = [MetaEmb, MWUF]


@pytest.fixture(params=WITH_PRIOR)
def net(request: pytest.FixtureRequest, ratings: Ratings) -> Net:
    return request.param(ratings)


def known(ratings: Ratings) -> PackedTasks:
    return pack(ratings, np.flatnonzero(ratings.user <= 30))


def gradients(loss: Tensor, algorithm: Made) -> dict[str, Tensor]:
    names, parameters = zip(*algorithm.named_parameters(), strict=True)
    found = torch.autograd.grad(loss, parameters, allow_unused=True, materialize_grads=True)
    return dict(zip(names, found, strict=True))


def test_the_base_scores_each_known_task_under_a_vector_of_its_own(net: Net, batch: TaskBatch) -> None:
    batch, ids = double(batch), randomised(IdVectors(net.double(), "a test"))
    losses = ids.losses(net, SQUARED_ERROR, batch)
    for number, task in enumerate(batch.task):
        vector, errors = ids.prior(net) + ids.offset[task], []
        for rows in (batch.support, batch.query):
            mask = rows.mask[number]
            scores = under(net, ids, vector, task, rows.item[number, mask])
            errors.append((scores - rows.rating[number, mask]).square())
        torch.testing.assert_close(losses[number], torch.cat(errors).mean())


def test_an_id_vector_is_user_prior_and_user_bias(ratings: Ratings) -> None:
    net = TINY["fm"](ratings)
    ids = IdVectors(net, "a test")
    assert ids.width == 4
    own = torch.cat([net.decoder.user_prior, net.decoder.user_bias]).detach()
    torch.testing.assert_close(ids.prior(net).detach(), own)
    fast = ids.fast(torch.arange(8.0).reshape(2, 4))
    assert fast["decoder.user_prior"].tolist() == [[0, 1, 2], [4, 5, 6]]
    assert fast["decoder.user_bias"].tolist() == [[3], [7]]


def test_the_mean_is_that_of_the_tasks_that_training_knows(ratings: Ratings) -> None:
    net = tiny_net(ratings)
    ids = randomised(IdVectors(net, "a test"))
    torch.testing.assert_close(ids.mean(net), ids.prior(net))
    ids.prepare(ratings, known(ratings))
    torch.testing.assert_close(ids.mean(net), ids.prior(net) + ids.offset[1:31].mean(dim=0))


@pytest.mark.parametrize("make", METHODS)
def test_what_is_learned_on_top_leaves_the_base_alone(make: Callable[..., Made], net: Net, batch: TaskBatch) -> None:
    """Net and id vectors have the gradient of the base's loss, all else that of the meta loss."""
    batch, algorithm = double(batch), randomised(make(net)).double().eval()
    both = gradients(algorithm.loss(batch), algorithm)
    base = gradients(algorithm.ids.losses(net, SQUARED_ERROR, batch).mean(), algorithm)
    meta = gradients(algorithm.meta_losses(batch).mean(), algorithm)
    for name, gradient in both.items():
        below = name.startswith(("net.", "ids."))
        torch.testing.assert_close(gradient, base[name] if below else meta[name])
        assert not (meta[name] if below else base[name]).any()
        assert gradient.any(), name


@pytest.mark.parametrize("make", METHODS)
def test_query_labels_reach_the_meta_loss_alone(make: Callable[..., Made], net: Net, batch: TaskBatch) -> None:
    """Its slope in a label is 2 (rating - prediction) / rows, with predictions that no label of the query moves."""
    batch, algorithm = double(batch), randomised(make(net, alpha=0.0)).double().eval()
    rating = batch.query.rating.clone().requires_grad_()
    algorithm.meta_losses(batch._replace(query=batch.query._replace(rating=rating))).sum().backward()
    predicted = algorithm.adapted(batch.task, batch.support, batch.query.item)
    expected = 2 * (batch.query.rating - predicted) / batch.query.mask.sum(1, keepdim=True) * batch.query.mask
    torch.testing.assert_close(rating.grad, expected)


@pytest.mark.parametrize("make", METHODS)
def test_an_empty_support_set_is_zero_shot(make: Callable[..., Made], net: Net, batch: TaskBatch) -> None:
    batch, algorithm = double(batch), randomised(make(net)).double().eval()
    zero_shot = algorithm.predict({}, batch.task, batch.query.item)
    none = algorithm.adapted(batch.task, emptied(batch.support), batch.query.item)
    torch.testing.assert_close(none, zero_shot, rtol=0, atol=1e-12)
    assert not torch.allclose(algorithm.adapted(batch.task, batch.support, batch.query.item), zero_shot, atol=1e-3)


@pytest.mark.parametrize("make", METHODS)
def test_a_known_task_is_met_as_if_it_were_new(make: Callable[..., Made], ratings: Ratings, batch: TaskBatch) -> None:
    algorithm = randomised(make(tiny_net(ratings))).eval()
    algorithm.prepare(ratings, known(ratings))
    before = algorithm.adapted(batch.task, batch.support, batch.query.item)
    with torch.no_grad():  # vectors are exchanged, so that their mean stays
        algorithm.ids.offset[1:31] = algorithm.ids.offset[1:31].flip(0)
    torch.testing.assert_close(algorithm.adapted(batch.task, batch.support, batch.query.item), before)


@pytest.mark.parametrize("make", METHODS)
def test_tasks_can_be_items(make: Callable[..., Made], ratings: Ratings) -> None:
    items = swapped(ratings)
    net = TINY["fm"](items, user_features=["genre"], item_features=["group"])
    algorithm = randomised(make(net)).eval()
    algorithm.prepare(items, pack(items, np.arange(len(items))))
    task, user = torch.tensor([1, 13, 2]), torch.tensor([[3, 4], [3, 4], [3, 4]])  # 1 and 13 have the same genres
    found = algorithm.predict({}, task, user)
    torch.testing.assert_close(found[0], found[1])
    assert not torch.allclose(found[0], found[2], atol=1e-3)


@pytest.mark.parametrize("make", METHODS)
def test_adaptation_where_there_are_no_gradients_is_refused(
    make: Callable[..., Made], ratings: Ratings, batch: TaskBatch
) -> None:
    algorithm = make(tiny_net(ratings))
    with torch.inference_mode(), pytest.raises(InputError, match="inference_mode=false"):
        algorithm.adapt(batch.task, batch.support)


@pytest.mark.parametrize("make", METHODS)
def test_what_it_cannot_work_with_is_refused(make: Callable[..., Made], ratings: Ratings) -> None:
    for net in (tiny_melu(ratings), NoNet(ratings.schema)):
        with pytest.raises(InputError, match=f"{make.__name__} needs a net with a user prior"):  # type: ignore[attr-defined]
            make(net)
    for options, message in (
        ({"alpha": 1.0}, "alpha 1.0: give a share >= 0 and < 1"),
        ({"inner_lr": 0.0}, "inner_lr 0.0: give a rate > 0"),
        ({"adaptation_steps": -1}, "adaptation_steps -1: give a number >= 0"),
        ({"shrinkage": -1.0}, "shrinkage -1.0: give a number >= 0"),
        ({"loss": "squared"}, "no loss 'squared'"),
    ):
        with pytest.raises(InputError, match=message):
            make(tiny_net(ratings), **options)
