"""The task-adaptive neural process against a plain loop in numpy, its limits, and its bad input."""

from typing import NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor, distributed, nn
from torch.distributions import Normal, kl_divergence

from metarec.algorithms.amortised.film import FiLM, GatingFiLM, TaskPool, sharpening
from metarec.algorithms.amortised.tanp import Gaussian, TaNP
from metarec.data.ratings import Ratings
from metarec.data.tasks import Rows, TaskBatch
from metarec.errors import InputError
from metarec.nets.base import Net, NoNet
from tests.algorithms.amortised.plain import double, emptied, layered, rows_of
from tests.conftest import tiny_melu, tiny_net


def made(net: Net, **options: object) -> TaNP:
    """Small, with a pool and a modulation that matter."""
    small: dict = {"latent": 3, "embedding": 4, "hidden": [6, 5], "clusters": 3, "temperature": 2.0, "shrinkage": 0.5}
    return TaNP(net, **{**small, **options}).double().eval()


@pytest.fixture(params=[(tiny_net, "film"), (tiny_melu, "gating_film")])
def algorithm(request: pytest.FixtureRequest, ratings: Ratings) -> TaNP:
    return made(request.param[0](ratings), modulation=request.param[1])


class Unmodulated(nn.Module):
    def forward(self, hidden: Tensor, embedding: Tensor) -> Tensor:
        return hidden


class PlainUser(NamedTuple):
    mean: np.ndarray
    log_variance: np.ndarray
    share: np.ndarray
    embedding: np.ndarray


def plain_user(algorithm: TaNP, task: Tensor, item: Tensor, rating: Tensor) -> PlainUser:
    """What one user's rows say, row by row and cluster by cluster."""
    latent, embedding = np.zeros(3), np.zeros(4)
    for (user, vector, score), given in zip(rows_of(algorithm.net, task, item), rating.numpy(), strict=True):
        row = np.concatenate([vector, user, [given - score]])
        latent = latent + layered(algorithm.latent.row, row) / (len(item) + 0.5)
        embedding = embedding + layered(algorithm.task.row, row) / (len(item) + 0.5)
    moments = layered(algorithm.moments, latent)
    centroids = algorithm.pool.centroid.detach().numpy()
    share = np.array([(1 + ((embedding - a) ** 2).sum() / 2.0) ** (-1.5) for a in centroids])
    share /= share.sum()
    return PlainUser(
        moments[:3], moments[3:], share, embedding + sum(c * a for c, a in zip(share, centroids, strict=True))
    )


def modulated(modulation: nn.Module, hidden: np.ndarray, o: np.ndarray) -> np.ndarray:
    """The paper's equations of FiLM and gating-FiLM."""
    if isinstance(modulation, Unmodulated):
        return hidden
    mapped = {name: layer.weight.detach().numpy() @ o for name, layer in modulation.named_children()}
    gamma, beta = np.tanh(mapped["gamma"]), np.tanh(mapped["beta"])
    if isinstance(modulation, GatingFiLM):
        delta, eta = 1 / (1 + np.exp(-mapped["delta"])), np.tanh(mapped["eta"])
        gamma, beta = gamma * delta + eta * (1 - delta), beta * delta + eta * (1 - delta)
    return gamma * hidden + beta


def plain_scores(algorithm: TaNP, task: Tensor, item: Tensor, z: np.ndarray, o: np.ndarray) -> list[float]:
    """One user's predictions, item by item and layer by layer."""
    scores = []
    for user, vector, score in rows_of(algorithm.net, task, item):
        hidden = np.concatenate([vector, user, z])
        for layer, modulation in zip(algorithm.layers, algorithm.modulations, strict=True):
            hidden = np.maximum(modulated(modulation, layered(nn.Sequential(layer), hidden), o), 0)
        scores.append(score + float(layered(nn.Sequential(algorithm.head), hidden)[0]))
    return scores


def real(rows: Rows, number: int) -> tuple[Tensor, Tensor]:
    return rows.item[number, rows.mask[number]], rows.rating[number, rows.mask[number]]


def plain_loss(algorithm: TaNP, batch: TaskBatch, noise: np.ndarray) -> float:
    """The outer loss by its definition, user by user; z is the posterior's mean plus noise times its deviation."""
    losses, shares = [], []
    for number, task in enumerate(batch.task):
        support, query = real(batch.support, number), real(batch.query, number)
        prior = plain_user(algorithm, task, *support)
        both = [torch.cat(columns) for columns in zip(support, query, strict=True)]
        posterior = plain_user(algorithm, task, *both)
        z = posterior.mean + noise[number] * np.exp(posterior.log_variance / 2)
        scores = plain_scores(algorithm, task, query[0], z, prior.embedding)
        q, p = (
            Normal(torch.from_numpy(one.mean), torch.from_numpy(one.log_variance / 2).exp())
            for one in (posterior, prior)
        )
        kl = float(kl_divergence(q, p).sum())
        losses.append(((np.array(scores) - query[1].numpy()) ** 2).mean() + algorithm.beta * kl)
        shares.append(prior.share)
    return float(np.mean(losses)) + algorithm.cluster_weight * plain_sharpening(np.array(shares))


def plain_sharpening(share: np.ndarray) -> float:
    total = 0.0
    for row in share:
        target = [row[k] ** 2 / share[:, k].sum() for k in range(share.shape[1])]
        target = [d / sum(target) for d in target]
        total += sum(d * np.log(d / c) for d, c in zip(target, row, strict=True))
    return total / len(share)


def test_predictions_are_those_of_a_plain_loop(algorithm: TaNP, batch: TaskBatch) -> None:
    batch = double(batch)
    found = algorithm.adapted(batch.task, batch.support, batch.query.item)
    for number, task in enumerate(batch.task):
        user = plain_user(algorithm, task, *real(batch.support, number))
        expected = plain_scores(algorithm, task, batch.query.item[number], user.mean, user.embedding)
        np.testing.assert_allclose(found[number].numpy(), expected, atol=1e-10)


def test_without_modulation_and_noise_it_is_a_conditional_process(ratings: Ratings, batch: TaskBatch) -> None:
    batch = double(batch)
    algorithm = made(tiny_net(ratings))
    algorithm.modulations = nn.ModuleList(Unmodulated() for _ in algorithm.layers)
    decoder = nn.Sequential(*algorithm.layers, algorithm.head)
    found = algorithm.adapted(batch.task, batch.support, batch.query.item)
    for number, task in enumerate(batch.task):
        z = plain_user(algorithm, task, *real(batch.support, number)).mean
        expected = [
            score + float(layered(decoder, np.concatenate([vector, user, z]))[0])
            for user, vector, score in rows_of(algorithm.net, task, batch.query.item[number])
        ]
        np.testing.assert_allclose(found[number].numpy(), expected, atol=1e-10)


def test_the_loss_in_training_draws_z_and_in_evaluation_takes_its_mean(algorithm: TaNP, batch: TaskBatch) -> None:
    batch = double(batch)
    algorithm.beta, algorithm.cluster_weight = 0.3, 0.7
    assert float(algorithm.loss(batch)) == pytest.approx(plain_loss(algorithm, batch, np.zeros((8, 3))), rel=1e-9)
    algorithm.train()
    torch.manual_seed(3)
    drawn = float(algorithm.loss(batch))
    torch.manual_seed(3)
    noise = torch.randn(8, 3, dtype=torch.float64).numpy()
    assert drawn == pytest.approx(plain_loss(algorithm, batch, noise), rel=1e-9)


def test_query_labels_reach_the_loss_but_no_prediction(algorithm: TaNP, batch: TaskBatch) -> None:
    """The posterior sees them: the loss is not quadratic in them, as its slope beyond that of the error says."""
    batch = double(batch)
    rating = batch.query.rating.clone().requires_grad_()
    algorithm.loss(batch._replace(query=batch.query._replace(rating=rating))).backward()
    fast = algorithm.adapt(batch.task, batch.support)
    error = batch.query.rating - algorithm.predict(fast, batch.task, batch.query.item)
    of_error = 2 * error / batch.query.mask.sum(1, keepdim=True) / len(batch.task) * batch.query.mask
    assert not torch.allclose(rating.grad, of_error)
    algorithm.train()
    again = algorithm.adapt(batch.task, batch.support)
    assert all(torch.equal(again[name], fast[name]) for name in fast)


def test_padding_does_not_change_what_is_drawn(algorithm: TaNP, batch: TaskBatch) -> None:
    algorithm.train()
    batch = double(batch)
    wide = [Rows(*(nn.functional.pad(column, (0, 3)) for column in rows)) for rows in (batch.support, batch.query)]
    losses = []
    for one in (batch, batch._replace(support=wide[0], query=wide[1])):
        torch.manual_seed(5)
        losses.append(algorithm.loss(one))
    torch.testing.assert_close(*losses)


def test_zero_shot_is_the_prediction_from_an_empty_support_set(algorithm: TaNP, batch: TaskBatch) -> None:
    batch = double(batch)
    zero_shot = algorithm.predict({}, batch.task, batch.query.item)
    torch.testing.assert_close(algorithm.adapted(batch.task, emptied(batch.support), batch.query.item), zero_shot)


def test_the_divergence_is_that_of_two_normal_distributions() -> None:
    generator = torch.Generator().manual_seed(0)
    first, second = (Gaussian(*torch.randn(2, 5, 3, generator=generator)) for _ in range(2))
    p, q = (Normal(one.mean, (one.log_variance / 2).exp()) for one in (first, second))
    torch.testing.assert_close(first.kl(second), kl_divergence(p, q).sum(dim=1))
    torch.testing.assert_close(first.kl(first), torch.zeros(5))


def test_clusters_are_sharpened_towards_targets_that_do_not_move() -> None:
    logit = torch.randn(6, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64, requires_grad=True)
    share = logit.softmax(dim=1)
    loss = sharpening(share)
    assert float(loss) == pytest.approx(plain_sharpening(share.detach().numpy()))
    loss.backward()
    target = (share.square() / share.sum(dim=0)).detach()
    target = target / target.sum(dim=1, keepdim=True)
    torch.testing.assert_close(logit.grad, (share.detach() - target) / 6)  # the slope of cross-entropy
    assert float(sharpening(torch.eye(3).clamp(min=1e-6))) == pytest.approx(0, abs=1e-4)


def test_processes_with_half_the_tasks_each_sharpen_as_one(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    logit = torch.randn(8, 3, dtype=torch.float64).requires_grad_()
    whole = sharpening(logit.softmax(dim=1))
    halves = logit.softmax(dim=1).split(4)
    monkeypatch.setattr(distributed, "is_initialized", lambda: True)
    losses = []
    for own, other in (halves, halves[::-1]):
        monkeypatch.setattr(distributed, "all_reduce", lambda total, other=other: total.add_(other.detach().sum(dim=0)))
        losses.append(sharpening(own, everywhere=True))
    mean = torch.stack(losses).mean()
    torch.testing.assert_close(mean, whole, rtol=0, atol=1e-12)
    gradients = [torch.autograd.grad(loss, logit, retain_graph=True)[0] for loss in (mean, whole)]
    torch.testing.assert_close(*gradients, rtol=0, atol=1e-12)


def test_processes_meet_in_training_alone(algorithm: TaNP, batch: TaskBatch, monkeypatch: pytest.MonkeyPatch) -> None:
    """Evaluation may give one process more batches than another, which would then wait for ever."""
    met: list[torch.Size] = []
    monkeypatch.setattr(distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(distributed, "all_reduce", lambda total: met.append(total.shape))
    algorithm.eval().loss(double(batch))
    assert not met
    algorithm.train().loss(double(batch))
    assert met == [(3,)]


def test_a_task_at_a_centroid_belongs_to_its_cluster() -> None:
    pool = TaskPool(3, 4, 1.0)
    with torch.no_grad():
        pool.centroid.copy_(1e4 * torch.eye(3, 4))
    share, embedding = pool(pool.centroid[1:2])
    torch.testing.assert_close(share, torch.tensor([[0.0, 1.0, 0.0]]), rtol=0, atol=1e-6)
    torch.testing.assert_close(embedding, 2 * pool.centroid[1:2], rtol=0, atol=1e-3)


def test_with_its_gate_at_one_gating_film_is_film() -> None:
    gating, film = GatingFiLM(4, 5), FiLM(4, 5)
    film.load_state_dict({name: value for name, value in gating.state_dict().items() if name in film.state_dict()})
    hidden, embedding = torch.randn(2, 3, 5), torch.ones(2, 4)
    with torch.no_grad():
        gating.delta.weight.fill_(100.0)
    torch.testing.assert_close(gating(hidden, embedding), film(hidden, embedding))


def test_what_it_cannot_work_with_is_refused(ratings: Ratings, net: Net) -> None:
    with pytest.raises(InputError, match="NoNet encodes no users and items"):
        TaNP(NoNet(ratings.schema))
    for options in (
        {"hidden": []},
        {"latent": 0},
        {"embedding": 0},
        {"clusters": 0},
        {"temperature": 0.0},
        {"beta": -1.0},
        {"cluster_weight": float("nan")},
        {"shrinkage": -1.0},
    ):
        with pytest.raises(InputError, match=f"{next(iter(options))} .*: give a number >"):
            TaNP(net, **options)
    with pytest.raises(InputError, match="no modulation 'filmy'; did you mean film"):
        TaNP(net, modulation="filmy")
