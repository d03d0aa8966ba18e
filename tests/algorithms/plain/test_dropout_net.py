"""DropoutNet against a plain loop in numpy, its limits, and what dropping does in expectation."""

import numpy as np
import pytest
import torch

from metarec.algorithms.plain.dropout_net import DropoutNet
from metarec.data.ratings import Ratings
from metarec.data.tasks import TaskBatch
from metarec.errors import InputError
from metarec.nets.base import Net, NoNet
from tests.algorithms.amortised.plain import double, emptied
from tests.conftest import tiny_melu, tiny_net
from tests.nets.tiny import TINY


def made(net: Net, **options: object) -> DropoutNet:
    arguments: dict = {"hidden": 6, "shrinkage": 1.5, **options}
    return DropoutNet(net, **arguments).double().eval()


@pytest.fixture(params=[tiny_net, tiny_melu, *TINY.values()])
def algorithm(request: pytest.FixtureRequest, ratings: Ratings) -> DropoutNet:
    return made(request.param(ratings))


def gmf_score(algorithm: DropoutNet, preference: np.ndarray, user: int, item: int, ratings: Ratings) -> float:
    """One score from the parameters of a map and of a GMF net."""
    of = {name: parameter.detach().numpy() for name, parameter in algorithm.named_parameters()}
    attributes = of["net.encoder.user.table.group"][ratings.user_features.categorical["group"][user]]
    hidden = np.tanh(of["map.0.weight"] @ np.concatenate([preference, attributes]) + of["map.0.bias"])
    vector = of["map.2.weight"] @ hidden + of["map.2.bias"] + of["net.decoder.user_prior"]
    score = float(ratings.rating.mean()) + of["net.decoder.user_bias"][0]
    score += of["net.encoder.item_bias.table.id"][item, 0]
    return float(score + of["net.decoder.head.weight"][0] @ (vector * gmf_item(algorithm, item, ratings)))


def gmf_item(algorithm: DropoutNet, item: int, ratings: Ratings) -> np.ndarray:
    table = {name: p.detach().numpy() for name, p in algorithm.net.encoder.item.table.items()}
    genres = ratings.item_features.multi_hot["genre"][item]
    return np.asarray(table["id"][item] + genres / genres.sum() @ table["genre"])


def test_predictions_are_those_of_a_plain_loop(ratings: Ratings, batch: TaskBatch) -> None:
    batch, algorithm = double(batch), made(TINY["gmf"](ratings))
    adapted = algorithm.adapted(batch.task, batch.support, batch.query.item)
    zero_shot = algorithm.predict({}, batch.task, batch.query.item).detach()
    for t, user in enumerate(batch.task.tolist()):
        nothing, preference, rows = np.zeros(3), np.zeros(3), int(batch.support.mask[t].sum())
        for s in range(rows):
            item = int(batch.support.item[t, s])
            error = float(batch.support.rating[t, s]) - gmf_score(algorithm, nothing, user, item, ratings)
            preference = preference + error * gmf_item(algorithm, item, ratings) / (rows + 1.5)
        for q, item in enumerate(batch.query.item[t].tolist()):
            expected = [gmf_score(algorithm, p, user, item, ratings) for p in (preference, nothing)]
            np.testing.assert_allclose([adapted[t, q], zero_shot[t, q]], expected, atol=1e-6)


def test_an_empty_support_set_and_a_huge_shrinkage_are_zero_shot(algorithm: DropoutNet, batch: TaskBatch) -> None:
    batch = double(batch)
    zero_shot = algorithm.predict({}, batch.task, batch.query.item)
    none = algorithm.adapted(batch.task, emptied(batch.support), batch.query.item)
    torch.testing.assert_close(none, zero_shot, rtol=0, atol=0)
    assert not torch.allclose(algorithm.adapted(batch.task, batch.support, batch.query.item), zero_shot, atol=1e-4)
    algorithm.shrinkage = 1e12
    torch.testing.assert_close(algorithm.adapted(batch.task, batch.support, batch.query.item), zero_shot)


def test_ratings_that_are_as_predicted_say_nothing_of_a_user(algorithm: DropoutNet, batch: TaskBatch) -> None:
    batch = double(batch)
    predicted = algorithm.predict({}, batch.task, batch.support.item).detach()
    fast = algorithm.adapt(batch.task, batch.support._replace(rating=predicted))
    torch.testing.assert_close(fast["preference"], torch.zeros_like(fast["preference"]))


def test_training_drops_the_preferences_of_whole_tasks(ratings: Ratings, batch: TaskBatch) -> None:
    """Each task's loss is the adapted or the zero-shot one, the latter for a share `drop` of the draws."""
    batch, algorithm = double(batch), made(TINY["gmf"](ratings), drop=0.3)
    one = TaskBatch(batch.task[:1], *(type(rows)(*(c[:1] for c in rows)) for rows in (batch.support, batch.query)))
    with torch.no_grad():
        kept = float(algorithm.loss(one))
        zero_shot = algorithm.predict({}, one.task, one.query.item)
        dropped = float(algorithm.outer_loss.of_tasks(zero_shot, one.query))
        torch.manual_seed(0)
        losses = np.array([float(algorithm.train().loss(one)) for _ in range(1000)])
    is_dropped = np.isclose(losses, dropped, atol=1e-9)
    assert np.isclose(losses[~is_dropped], kept, atol=1e-9).all()
    assert abs(is_dropped.mean() - 0.3) < 5 * (0.3 * 0.7 / 1000) ** 0.5


def test_tasks_are_dropped_one_by_one(ratings: Ratings, batch: TaskBatch) -> None:
    batch, algorithm = double(batch), made(TINY["gmf"](ratings), drop=0.5)
    adapted = algorithm.adapted(batch.task, batch.support, batch.query.item)
    zero_shot = algorithm.predict({}, batch.task, batch.query.item)
    each = [algorithm.outer_loss.of_tasks(scores, batch.query) for scores in (adapted, zero_shot)]
    torch.manual_seed(3)
    kept = torch.rand(len(batch.task), 1)[:, 0] >= 0.5
    assert 0 < int(kept.sum()) < len(kept)
    torch.manual_seed(3)
    torch.testing.assert_close(algorithm.train().loss(batch), torch.where(kept, *each).mean())


def test_the_outer_gradient_is_that_of_finite_differences(algorithm: DropoutNet, batch: TaskBatch) -> None:
    batch = double(batch)
    algorithm.loss(batch).backward()  # type: ignore[no-untyped-call]
    for name, parameter in algorithm.named_parameters():
        place = int(parameter.grad.abs().flatten().argmax())  # type: ignore[union-attr]
        flat, step, found = parameter.data.view(-1), 1e-6, []
        for sign in (1, -1):
            flat[place] += sign * step
            with torch.no_grad():
                found.append(float(algorithm.loss(batch)))
            flat[place] -= sign * step
        expected = float(parameter.grad.flatten()[place])  # type: ignore[union-attr]
        assert (found[0] - found[1]) / (2 * step) == pytest.approx(expected, rel=1e-4, abs=1e-7), name


def test_a_loss_of_its_own_for_the_query_set(ratings: Ratings, batch: TaskBatch) -> None:
    algorithm = DropoutNet(tiny_net(ratings), loss="absolute_error").eval()
    error = (algorithm.adapted(batch.task, batch.support, batch.query.item) - batch.query.rating).abs()
    expected = (error * batch.query.mask).sum(1) / batch.query.mask.sum(1)
    torch.testing.assert_close(algorithm.loss(batch), expected.mean())


def test_what_it_cannot_work_with_is_refused(ratings: Ratings, net: Net) -> None:
    with pytest.raises(InputError, match="NoNet encodes no users and items"):
        DropoutNet(NoNet(ratings.schema))
    for drop in (-0.1, 1.0, float("nan")):
        with pytest.raises(InputError, match=r"drop .*: give a share >= 0 and < 1"):
            DropoutNet(net, drop=drop)
    for options in ({"hidden": 0}, {"shrinkage": -1.0}):
        with pytest.raises(InputError, match=f"{next(iter(options))} .*: give a number >="):
            DropoutNet(net, **options)
