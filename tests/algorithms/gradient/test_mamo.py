"""MAMO against MAML, of which it is a limit case, and against a plain version, user by user and slot by slot."""

import numpy as np
import pytest
import torch
from torch import distributed
from torch.func import functional_call

from metarec.algorithms.engines import batched
from metarec.algorithms.gradient import memories
from metarec.algorithms.gradient.maml import MAML
from metarec.algorithms.gradient.mamo import MAMO
from metarec.algorithms.gradient.memories import Memories
from metarec.data.ratings import Ratings
from metarec.data.tasks import EpisodeSizes, Rows, TaskBatch, alone
from metarec.errors import InputError
from metarec.nets.base import Encoded, Net
from tests.algorithms.engines.cases import NETS, drawn

STEPS, RATE, SHRINKAGE = 3, 0.1, 1.5


@pytest.fixture
def batch(ratings: Ratings) -> TaskBatch:
    """Eight tasks in two buckets."""
    return drawn(ratings, EpisodeSizes(2, 6, 5), 8, 0, torch.float64, "squared_error")


def made(net: Net, **options: object) -> MAMO:
    """A MAMO in float64 whose memories are full."""
    torch.manual_seed(3)
    personal = "user_prior" if "user_prior" in net.groups else "decision"
    given = {"adapts": ["all"], "personal": [personal], "inner_lr": RATE, "adaptation_steps": STEPS, **options}
    algorithm = MAMO(net, bias_scale=given.pop("bias_scale", 0.4), shrinkage=SHRINKAGE, **given).double()
    for memory in algorithm.memories.buffers():
        memory.normal_(std=0.3)
    return algorithm


def state(algorithm: MAMO) -> list[np.ndarray]:
    return [memory.numpy().copy() for memory in algorithm.memories.buffers()]


def gradients(loss: torch.Tensor, net: Net) -> list[torch.Tensor]:
    return list(torch.autograd.grad(loss, list(net.parameters()), allow_unused=True, materialize_grads=True))


def reordered(batch: TaskBatch, order: torch.Tensor) -> TaskBatch:
    support, query = (Rows(*(column[order] for column in rows)) for rows in (batch.support, batch.query))
    return TaskBatch(batch.task[order], support, query)


@pytest.mark.parametrize("first_order", [False, True])
@pytest.mark.parametrize("kind", NETS)
def test_without_bias_and_matrix_it_is_maml(ratings: Ratings, batch: TaskBatch, kind: str, first_order: bool) -> None:
    net = NETS[kind](ratings).double()
    own = made(net, bias_scale=0.0, mix=0.0, first_order=first_order)
    maml = MAML(net, ["all"], RATE, STEPS, SHRINKAGE, first_order)
    for _ in range(2):  # what the first loss writes changes nothing
        found, expected = own.loss(batch), maml.loss(batch)
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-11)
        torch.testing.assert_close(gradients(found, net), gradients(expected, net), rtol=0, atol=1e-10)
    scores = [a.adapted(batch.task, batch.support, batch.query.item) for a in (own, maml)]
    torch.testing.assert_close(*scores, rtol=0, atol=1e-11)


def test_fresh_memories_begin_as_maml(ratings: Ratings, batch: TaskBatch) -> None:
    net = NETS["neumf"](ratings).double()
    own, maml = MAMO(net).double(), MAML(net, ["user_prior", "decision"])
    scores = [a.predict({}, batch.task, batch.query.item) for a in (own, maml)]
    torch.testing.assert_close(*scores, rtol=0, atol=1e-12)


def plain_attention(profile: np.ndarray, slots: np.ndarray, temperature: float) -> list[float]:
    """softmax over slots of cosines, one user, one slot at a time."""
    weights = []
    for slot in slots:
        cosine = sum(a * b for a, b in zip(profile, slot, strict=True))
        cosine /= sum(a * a for a in profile) ** 0.5 * sum(b * b for b in slot) ** 0.5
        weights.append(np.exp(cosine / temperature))
    return [weight / sum(weights) for weight in weights]


def plain_write(memory: np.ndarray, attention: list[list[float]], left: list[np.ndarray], rate: float) -> np.ndarray:
    """What a memory becomes when users of these attentions have left something in it."""
    new = []
    for number, slot in enumerate(memory):
        mean = sum(a[number] * x for a, x in zip(attention, left, strict=True)) / len(left)
        new.append((1 - rate) * slot + rate * mean)
    return np.stack(new)


def test_memories_are_read_and_written_as_plain_loops_do() -> None:
    torch.manual_seed(0)
    own = Memories(4, 5, [torch.Size([2, 3]), torch.Size([1])], 6, temperature=0.3).double()
    for memory in own.buffers():
        memory.normal_()
    profile = torch.randn(7, 5, dtype=torch.float64)
    before = [memory.numpy().copy() for memory in own.buffers()]
    attention = own.attention(profile)
    plain = [plain_attention(user, before[0], 0.3) for user in profile.numpy()]
    np.testing.assert_allclose(attention.numpy(), plain, rtol=0, atol=1e-12)
    gradients, preference = own.read(attention)
    for found, memory in zip([*gradients, preference], before[1:], strict=True):
        expected = [sum(a * slot for a, slot in zip(user, memory, strict=True)) for user in plain]
        np.testing.assert_allclose(found.numpy(), expected, rtol=0, atol=1e-12)
    contents = [profile, *(torch.randn_like(x) for x in (*gradients, preference))]
    own.write(own.left(attention, contents), 7, profile=0.7, gradient=0.2, preference=0.4)
    for found, old, left, rate in zip(own.buffers(), before, contents, [0.7, 0.2, 0.2, 0.4], strict=True):
        expected = plain_write(old, plain, list(left.numpy()), rate)
        np.testing.assert_allclose(found.numpy(), expected, rtol=0, atol=1e-12)


def plain_scores(net: Net, mix: float, weights: dict, matrix: torch.Tensor, task: torch.Tensor, item: torch.Tensor):
    """Scores (1, R) of one user, row by row; `weights` are those of the decoder."""
    encoded = net.encoder(task, item)
    users, items = [], []
    for row in encoded.item[0]:
        x = torch.cat([encoded.user[0, 0], row])
        x = x + mix * (matrix @ x)
        users.append(x[: encoded.user.shape[2]])
        items.append(x[encoded.user.shape[2] :])
    given = Encoded(torch.stack(users)[None], torch.stack(items)[None], encoded.bias)
    return functional_call(net.decoder, {n.removeprefix("decoder."): w for n, w in weights.items()}, (given,))


@pytest.mark.parametrize("kind", ["melu", "neumf"])
def test_losses_gradients_and_writes_are_those_of_a_loop_over_users(
    ratings: Ratings, batch: TaskBatch, kind: str
) -> None:
    net, mix, tau, temperature = NETS[kind](ratings).double(), 0.8, 0.4, 0.5
    adapts = ["decision"] if kind == "melu" else ["user_prior", "decision"]
    own = made(net, adapts=adapts, mix=mix, bias_scale=tau, temperature=temperature)
    before, attentions, left, losses = state(own), [], [], []
    names = [name for name in own.inner_loop.names if name != "preference"]
    for number in range(len(batch.task)):
        one = alone(batch, number)
        profile = net.encode_user(one.task)[0, 0].detach().numpy()
        attention = plain_attention(profile, before[0], temperature)
        *bias, matrix = [
            torch.from_numpy(sum(a * slot for a, slot in zip(attention, m, strict=True))) for m in before[1:]
        ]
        weights = {name: net.get_parameter(name) for name in names}
        for name, own_bias in zip(own.personal, bias, strict=True):
            weights[name] = weights[name] - tau * own_bias
        inner, matrix = dict.fromkeys(own.personal, 0.0), matrix.requires_grad_()
        for _ in range(STEPS):
            errors = plain_scores(net, mix, weights, matrix, one.task, one.support.item) - one.support.rating
            loss = errors.square().sum() / (errors.numel() + SHRINKAGE)
            found = torch.autograd.grad(loss, [*weights.values(), matrix], create_graph=True)
            inner = {name: total + found[list(weights).index(name)] / STEPS for name, total in inner.items()}
            weights = {name: w - RATE * g for (name, w), g in zip(weights.items(), found, strict=False)}
            matrix = matrix - RATE * found[-1]
        scores = plain_scores(net, mix, weights, matrix, one.task, one.query.item)
        losses.append((scores - one.query.rating).square().mean())
        attentions.append(attention)
        left.append([profile, *(g.detach().numpy() for g in inner.values()), matrix.detach().numpy()])
    expected, found = torch.stack(losses).mean(), own.loss(batch)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-11)
    torch.testing.assert_close(gradients(found, net), gradients(expected, net), rtol=0, atol=1e-10)
    rates = [0.5, *[0.05] * len(own.personal), 0.1]
    for after, old, contents, rate in zip(state(own), before, zip(*left, strict=True), rates, strict=True):
        np.testing.assert_allclose(after, plain_write(old, attentions, list(contents), rate), rtol=0, atol=1e-11)


@pytest.mark.parametrize("kind", NETS)
def test_order_and_buckets_of_tasks_do_not_matter(
    ratings: Ratings, batch: TaskBatch, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batched, "BUCKET_COST", 0)  # or so small a batch would be one bucket
    assert len(batched.few_parts(batch)) == 2
    order = torch.tensor([5, 2, 7, 0, 1, 3, 4, 6])
    variants = [batch, batch._replace(buckets=()), reordered(batch, order)]
    each = [made(NETS[kind](ratings)) for _ in variants]
    losses = [own.loss(variant) for own, variant in zip(each, variants, strict=True)]
    scores = [own.adapted(v.task, v.support, v.query.item) for own, v in zip(each, variants, strict=True)]
    for own, loss in zip(each, losses, strict=True):
        torch.testing.assert_close(loss, losses[0], rtol=0, atol=1e-11)
        for found, expected in zip(state(own), state(each[0]), strict=True):
            np.testing.assert_allclose(found, expected, rtol=0, atol=1e-11)
    torch.testing.assert_close(scores[2], scores[0][order], rtol=0, atol=1e-10)


def test_only_the_loss_of_training_writes(ratings: Ratings, batch: TaskBatch) -> None:
    own = made(NETS["neumf"](ratings))
    before = state(own)
    own.eval().loss(batch)
    own.train()
    own.adapted(batch.task, batch.support, batch.query.item)
    own.predict({}, batch.task, batch.query.item)
    assert all(np.array_equal(*pair) for pair in zip(state(own), before, strict=True))
    own.loss(batch).backward()
    assert not any(np.array_equal(*pair) for pair in zip(state(own), before, strict=True))


def test_memories_without_rates_stay_as_they_are(ratings: Ratings, batch: TaskBatch) -> None:
    own = made(NETS["neumf"](ratings), profile_rate=0.0, gradient_rate=0.0, preference_rate=0.0)
    before = state(own)
    own.loss(batch)
    assert all(np.array_equal(*pair) for pair in zip(state(own), before, strict=True))


def test_other_test_users_change_nothing(ratings: Ratings, batch: TaskBatch) -> None:
    own = made(NETS["neumf"](ratings))
    first = own.adapted(batch.task, batch.support, batch.query.item)
    other = batch.support._replace(rating=6 - batch.support.rating)
    own.adapted(batch.task.flip(0), other, batch.query.item)
    assert torch.equal(own.adapted(batch.task, batch.support, batch.query.item), first)


def test_no_step_is_zero_shot_from_the_users_own_start(ratings: Ratings, batch: TaskBatch) -> None:
    own = made(NETS["neumf"](ratings), adaptation_steps=0)
    zero_shot = own.predict({}, batch.task, batch.query.item)
    still = own.adapted(batch.task, batch.support, batch.query.item)
    torch.testing.assert_close(still, zero_shot, rtol=0, atol=1e-12)
    assert not torch.allclose(zero_shot, own.net(batch.task, batch.query.item))
    own.loss(batch)
    assert all(memory.isfinite().all() for memory in own.memories.buffers())


def test_a_user_without_attributes_attends_to_all_slots_alike() -> None:
    own = Memories(4, 5, [], 2, temperature=0.1)
    torch.testing.assert_close(own.attention(torch.zeros(2, 5)), torch.full((2, 4), 0.25))


@pytest.mark.parametrize(("temperature", "alike"), [(1.0, True), (0.1, False)])
def test_slots_become_alike_at_the_papers_temperature(temperature: float, alike: bool) -> None:
    torch.manual_seed(0)
    own = Memories(3, 4, [], 1, temperature)
    profile = torch.eye(4)
    for _ in range(100):
        attention = own.attention(profile)
        own.write(own.left(attention, [profile, torch.zeros(4, 1, 1)]), 4, 0.5, 0.0, 0.0)
    assert (float(own.attention(profile).std(dim=1).max()) < 1e-3) == alike


def test_a_checkpoint_holds_the_memories(ratings: Ratings, batch: TaskBatch) -> None:
    own = made(NETS["neumf"](ratings))
    own.loss(batch)
    resumed = MAMO(NETS["neumf"](ratings), ["all"], inner_lr=RATE, adaptation_steps=STEPS, shrinkage=SHRINKAGE)
    resumed.double().load_state_dict(own.state_dict())
    resumed.bias_scale = own.bias_scale
    for _ in range(2):
        assert torch.equal(resumed.loss(batch), own.loss(batch))
    assert all(np.array_equal(*pair) for pair in zip(state(resumed), state(own), strict=True))


def test_processes_write_what_the_users_of_all_of_them_leave(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    attention, contents = torch.rand(6, 3), [torch.randn(6, 4), torch.randn(6, 2), torch.randn(6, 5, 5)]
    own, ours = (Memories(3, 4, [torch.Size([2])], 5, 1.0) for _ in range(2))
    ours.load_state_dict(own.state_dict())
    own.write(own.left(attention, contents), 6, 0.5, 0.25, 0.125)
    others = own.left(attention[4:], [x[4:] for x in contents])
    totals = iter([torch.tensor(2.0), *others])
    monkeypatch.setattr(memories.distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(distributed, "all_reduce", lambda total: total.add_(next(totals)))
    ours.write(ours.left(attention[:4], [x[:4] for x in contents]), 4, 0.5, 0.25, 0.125)
    torch.testing.assert_close(dict(ours.named_buffers()), dict(own.named_buffers()))


def test_what_cannot_be_is_refused(net: Net) -> None:
    for options, message in (
        ({"slots": 0}, "slots 0: give a number >= 1"),
        ({"temperature": 0.0}, "temperature 0.0: give a number > 0"),
        ({"bias_scale": -1.0}, "bias_scale -1.0: give a number >= 0"),
        ({"mix": -1.0}, "mix -1.0: give a number >= 0"),
        ({"profile_rate": 1.5}, "profile_rate 1.5: give a share"),
        ({"preference_rate": -0.5}, "preference_rate -0.5: give a share"),
        ({"gradient_rate": float("nan")}, "gradient_rate nan: give a share"),
        ({"personal": ["head"], "adapts": ["user_prior"]}, r"personal: decoder.head.weight does not adapt; add it"),
        ({"personal": ["all"], "adapts": ["all"]}, "personal: encoder.* is of the encoder"),
        ({"personal": ["user_piror"]}, "matches no parameter"),
        ({"inner_lr": 0.0}, "inner_lr 0.0: give a rate > 0"),
    ):
        with pytest.raises(InputError, match=message):
            MAMO(net, **options)
