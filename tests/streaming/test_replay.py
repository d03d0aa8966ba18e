"""Every score against a plain loop over events, and a poisoned event against all scores before it."""

import dataclasses
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from metarec.algorithms.amortised.hypernetwork import HyperNetwork
from metarec.algorithms.base import Algorithm
from metarec.algorithms.closed_form.ridge import RidgeHead
from metarec.algorithms.gradient.implicit_maml import ImplicitMAML
from metarec.algorithms.gradient.maml import MAML
from metarec.algorithms.gradient.maml_plus_plus import MAMLPlusPlus
from metarec.algorithms.gradient.reptile import Reptile
from metarec.algorithms.neighbours import ResidualNeighbours
from metarec.algorithms.plain.pretrain import Pretrain
from metarec.algorithms.update_rules import MetaCurvature, MetaSGD
from metarec.baselines.als import AlternatingLeastSquares
from metarec.baselines.means import ItemMean, ItemUserBias
from metarec.baselines.neighbours import ItemKNN
from metarec.data.ratings import Ratings
from metarec.data.scenario import Split
from metarec.data.tasks import Rows, pack
from metarec.errors import DivergedError, InputError
from metarec.nets.base import Net
from metarec.streaming.events import Events, stream_of
from metarec.streaming.modes import MODES, Adaptation, Mode, possible
from metarec.streaming.replay import batches, replay
from tests.conftest import synthetic_ratings, tiny_net

MAKE: dict[str, Callable[[Net], Algorithm]] = {
    "maml": lambda net: MAML(net, ["user_prior"], adaptation_steps=3, shrinkage=2.0),
    "maml_all": lambda net: MAML(net, ["all"], 0.05, adaptation_steps=2),
    "melu": lambda net: MAML(net, ["decision"], 0.05, adaptation_steps=1, engine="fused"),
    "meta_sgd": lambda net: MAML(net, ["decision"], 0.05, adaptation_steps=2, update_rule=MetaSGD),
    "meta_curvature": lambda net: MAML(net, ["all"], 0.01, adaptation_steps=2, update_rule=MetaCurvature),
    "maml_plus_plus": lambda net: MAMLPlusPlus(net, ["user_prior"], 0.05, adaptation_steps=2),
    "reptile": lambda net: Reptile(net, ["user_prior", "decision"], 0.05, adaptation_steps=2),
    "finetuned": lambda net: Pretrain(net, ["head"], 0.05, adaptation_steps=2, loss="absolute_error"),
    "ridge_head": RidgeHead,
    "item_user_bias": ItemUserBias,
    "item_knn": lambda net: ItemKNN(net, neighbours=3),
    "als": lambda net: AlternatingLeastSquares(net, factors=4),
    "hypernetwork": HyperNetwork,
}
HOW = Adaptation(window=3, half_life=2.0, steps=None)
DAYS = Adaptation(window=3, half_life=0.02, half_life_in="days")


def data(seed: int = 0) -> Ratings:
    """Nine users whose ratings fall on few points in time, so that many are simultaneous."""
    ratings = synthetic_ratings(users=9, items=11, seed=seed, fewest=6)
    return dataclasses.replace(ratings, time=np.random.default_rng(seed).integers(0, 9, len(ratings)) * 1000)


def split_of(ratings: Ratings) -> Split:
    """Users 1 to 6 train, the others test."""
    train = np.flatnonzero(ratings.user <= 6)
    return Split(train, train[:0], np.flatnonzero(ratings.user > 6), {}, {})


def events_of(ratings: Ratings) -> Events:
    return stream_of(ratings, split_of(ratings))


@pytest.fixture(params=MAKE)
def name(request: pytest.FixtureRequest) -> str:
    return request.param


def made(name: str, ratings: Ratings, dtype: torch.dtype = torch.float32) -> Algorithm:
    algorithm = MAKE[name](tiny_net(ratings))
    algorithm.prepare(ratings, pack(ratings, split_of(ratings).train))
    return algorithm.to(dtype).eval()


def modes_of(algorithm: Algorithm) -> list[Mode]:
    return [mode for mode in MODES if not possible(algorithm, mode)]


def one_by_one(algorithm: Algorithm, ratings: Ratings, how: Adaptation, mode: str) -> dict[tuple[int, int], float]:
    """What `replay` must give, by user and item: a loop over events, no batch, no packing, no way of its own."""
    found = {}
    rows = np.flatnonzero(ratings.user > 6)
    for event in rows:
        own = [row for row in rows if ratings.user[row] == ratings.user[event]]
        past = [row for row in own if ratings.time[row] < ratings.time[event]]
        past.sort(key=lambda row: (ratings.time[row], ratings.item[row]))
        task, item = torch.tensor([ratings.user[event]]), torch.tensor([[ratings.item[event]]])
        fast = {} if mode == "zero_shot" or not past else plain(algorithm, ratings, past, event, how, mode)
        with torch.no_grad():
            found[int(ratings.user[event]), int(ratings.item[event])] = algorithm.predict(fast, task, item).item()
    return found


def rows_of(ratings: Ratings, past: list[int], dtype: torch.dtype) -> Rows:
    item, rating = torch.from_numpy(ratings.item[past]), torch.from_numpy(ratings.rating[past]).to(dtype)
    return Rows(item[None], rating[None], torch.ones(1, len(past), dtype=torch.bool))


def plain(algorithm: Algorithm, ratings: Ratings, past: list[int], event: int, how: Adaptation, mode: str) -> dict:
    """Fast weights of one event."""
    task = torch.tensor([ratings.user[event]])
    dtype = next((p.dtype for p in algorithm.parameters()), next(algorithm.buffers()).dtype)
    if mode == "continue":
        return continued(algorithm, task, [rows_of(ratings, [row], dtype) for row in past], how)
    if mode == "window":
        past = past[-how.window :]
    if mode != "decay":
        return algorithm.adapt(task, rows_of(ratings, past, dtype))
    if how.half_life_in == "events":
        ages = [len(past) - 1 - place for place in range(len(past))]
    else:
        ages = [(int(ratings.time[event]) - int(ratings.time[row])) / 86_400 for row in past]
    weight = torch.tensor([[0.5 ** (age / how.half_life) for age in ages]], dtype=dtype)
    if not algorithm.descends:
        return algorithm.adapt_weighted(task, rows_of(ratings, past, dtype), weight)
    return descended(algorithm, task, rows_of(ratings, past, dtype), {}, weight=weight)


def continued(algorithm: Algorithm, task: Tensor, each: list[Rows], how: Adaptation) -> dict:
    fast: dict = {}
    for rows in each:
        fast = descended(algorithm, task, rows, fast, how.steps)
    return fast


def descended(
    algorithm: Algorithm, task: Tensor, rows: Rows, fast: dict, steps: int | None = None, weight: Tensor | None = None
) -> dict:
    """Gradient steps by hand, on whole copies of the weights, with each rule's own step written out."""
    how, net = algorithm.inner_loop, algorithm.net
    fast = fast or {name: net.get_parameter(name).detach()[None].clone() for name in how.names}
    weight = torch.ones_like(rows.rating) if weight is None else weight
    for step in range(how.adaptation_steps if steps is None else steps):
        leaves = {name: value.detach().requires_grad_() for name, value in fast.items()}
        with torch.enable_grad():
            score = algorithm.predict(leaves, task, rows.item)
            loss = (weight * how.loss.value(score, rows.rating)).sum() / (weight.sum() + how.shrinkage)
            slopes = torch.autograd.grad(loss, list(leaves.values()), allow_unused=True, materialize_grads=True)
        rates = rates_of(algorithm, step)
        pairs = zip(leaves.items(), slopes, rates, strict=True)
        fast = {name: (value - rate * slope).detach() for (name, value), slope, rate in pairs}
    return fast


def rates_of(algorithm: Algorithm, step: int) -> list:
    rule, how = algorithm.inner_loop.rule, algorithm.inner_loop
    if isinstance(rule, MetaSGD):
        return list(rule.rates)
    if isinstance(algorithm, MAMLPlusPlus):
        return [rate[step] for rate in rule.update.rates]
    return [how.inner_lr] * len(how.names)


def keyed(events: Events, prediction: Tensor) -> dict[tuple[int, int], float]:
    user = events.user[events.owner].tolist()
    return dict(zip(zip(user, events.item.tolist(), strict=True), prediction.tolist(), strict=True))


def test_scores_are_those_of_a_loop_over_events(name: str) -> None:
    require_the_loops_scores(name, HOW)


@pytest.mark.parametrize("name", ["maml", "ridge_head", "item_user_bias"], indirect=True)
def test_ages_in_days_and_single_steps_are_those_of_the_loop(name: str) -> None:
    require_the_loops_scores(name, DAYS)


def require_the_loops_scores(name: str, how: Adaptation) -> None:
    """All modes of an algorithm, in double precision, against `one_by_one`."""
    ratings = data()
    algorithm, events = made(name, ratings, torch.float64), events_of(ratings)
    events = events._replace(rating=events.rating.double())
    modes = modes_of(algorithm)
    found = replay(algorithm, events, modes, how)
    assert set(found) == {"zero_shot", *modes}
    for mode, prediction in found.items():
        expected = one_by_one(algorithm, ratings, how, mode)
        got = keyed(events, prediction)
        assert got.keys() == expected.keys()
        for key, value in expected.items():
            assert got[key] == pytest.approx(value, rel=1e-9, abs=1e-9), (mode, key)


def test_modes_differ_and_adapt(name: str) -> None:
    ratings = data()
    algorithm, events = made(name, ratings), events_of(ratings)
    found = replay(algorithm, events, modes_of(algorithm), HOW)
    told = events.seen > 3
    for mode, prediction in found.items():
        for other, theirs in found.items():
            assert mode == other or not torch.allclose(prediction[told], theirs[told]), (mode, other)
    assert all(
        torch.equal(prediction[events.seen == 0], found["zero_shot"][events.seen == 0]) for prediction in found.values()
    )


def poisoned(ratings: Ratings, row: int, what: str) -> Ratings:
    """The same ratings, but for one: another value, or another item that its user has not rated."""
    column = getattr(ratings, what).copy()
    others = np.setdiff1d(np.arange(1, len(ratings.item_ids)), ratings.item[ratings.user == ratings.user[row]])
    column[row] = 6 - column[row] if what == "rating" and column[row] != 3 else 1 if what == "rating" else others[0]
    return dataclasses.replace(ratings, **{what: column})


@pytest.mark.parametrize("what", ["rating", "item"])
def test_a_poisoned_event_leaves_every_earlier_score_bit_identical(name: str, what: str) -> None:
    ratings = data()
    split = split_of(ratings)
    algorithm, events = made(name, ratings), events_of(ratings)
    modes = modes_of(algorithm)
    clean = replay(algorithm, events, modes, HOW)
    candidates = [row for row in split.test if (ratings.user == ratings.user[row]).sum() < 11]
    middle = sorted(candidates, key=lambda row: ratings.time[row])[len(candidates) // 3 : -len(candidates) // 3]
    reached = dict.fromkeys(modes, 0)
    for row in middle[:: max(1, len(middle) // 3)]:
        after = stream_of(poisoned(ratings, row, what), split)
        late = replay(algorithm, after, modes, HOW)
        user, time = int(ratings.user[row]), int(ratings.time[row])
        theirs = (events.user[events.owner] != user) | (events.time < time)
        told = theirs if what == "item" else theirs | (events.time == time)  # no rating is in its own event's score
        for mode in ("zero_shot", *modes):
            assert torch.equal(late[mode][told], clean[mode][told]), mode
            assert earlier(after, late[mode], time) == earlier(events, clean[mode], time), mode
            if mode != "zero_shot":
                reached[mode] += int((late[mode] != clean[mode])[~theirs & (events.time > time)].sum())
    assert all(reached.values())  # later scores of that user do follow the event


def earlier(events: Events, prediction: Tensor, time: int) -> dict[tuple[int, int], float]:
    """Scores of events strictly before a time."""
    then = keyed(events, events.time)
    return {key: value for key, value in keyed(events, prediction).items() if then[key] < time}


def test_simultaneous_ratings_of_one_user_do_not_see_each_other(name: str) -> None:
    ratings = data()
    algorithm, events = made(name, ratings), events_of(ratings)
    modes = modes_of(algorithm)
    clean = replay(algorithm, events, modes, HOW)
    [tied] = np.nonzero((events.seen[1:] == events.seen[:-1]).numpy() & (events.seen[1:] > 1).numpy())
    number = int(tied[len(tied) // 2])
    late = replay(
        algorithm,
        events._replace(
            rating=events.rating.index_fill(0, torch.tensor([number]), 1.0 if events.rating[number] != 1 else 5.0)
        ),
        modes,
        HOW,
    )
    for mode in modes:
        assert late[mode][number + 1] == clean[mode][number + 1]


def test_the_order_of_the_files_does_not_matter() -> None:
    ratings = data()
    order = np.random.default_rng(3).permutation(len(ratings))
    mixed = ratings.at(order)
    for one, other in zip(events_of(ratings), events_of(mixed), strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("name", ["maml", "ridge_head", "item_knn"], indirect=True)
def test_batches_change_nothing_but_rounding(name: str) -> None:
    ratings = data()
    algorithm, events = made(name, ratings), events_of(ratings)
    modes = modes_of(algorithm)
    usual, single = (replay(algorithm, events, modes, HOW, rows) for rows in (8192, 1))
    for mode in usual:
        torch.testing.assert_close(usual[mode], single[mode], rtol=1e-5, atol=1e-5)


def test_what_came_before_the_stream_is_learned_from_and_not_scored() -> None:
    ratings = data()
    early = np.flatnonzero((ratings.user <= 8) & (ratings.time < 4000))
    split = Split(early, early[:0], np.flatnonzero(ratings.user > 8), {}, {})
    events = stream_of(ratings, split, "all")
    algorithm = made("item_user_bias", ratings)
    found = replay(algorithm, events, ["reset"])["reset"]
    assert (events.time[events.scored] > ratings.time[early].max()).all()
    assert int(events.scored.sum()) == int((ratings.time > ratings.time[early].max()).sum())
    assert found.isnan().tolist() == (~events.scored).tolist()
    assert set(events.user.tolist()) == set(ratings.user[ratings.time > ratings.time[early].max()].tolist())
    assert int(events.seen[events.scored].max()) > int(events.seen[~events.scored].max()) > 0


def test_global_order_is_by_time_then_user_then_item() -> None:
    events = events_of(data())
    order = events.in_time()
    columns = torch.stack([events.time, events.user[events.owner], events.item], dim=1)[order].tolist()
    assert columns == sorted(columns)
    assert len(order) == len(events.item)


def test_batches_hold_every_event_once_and_stay_small() -> None:
    length = torch.randint(0, 50, (500,), generator=torch.Generator().manual_seed(0))
    found = list(batches(length, 200))
    assert torch.cat(found).sort().values.tolist() == torch.nonzero(length).squeeze(1).tolist()
    assert all((int(length[part].max()) + 1) * len(part) <= 200 for part in found)
    assert all(len(part) == 1 for part in batches(length, 1))


def test_limits_of_decay_are_reset_and_the_last_rating() -> None:
    ratings = data()
    for name in ("maml", "ridge_head", "item_user_bias", "als"):
        algorithm, events = made(name, ratings), events_of(ratings)
        long = replay(algorithm, events, ["reset", "decay"], Adaptation(half_life=1e9))
        torch.testing.assert_close(long["decay"], long["reset"], rtol=1e-4, atol=1e-4)
        short = replay(algorithm, events, ["window", "decay"], Adaptation(window=1, half_life=1e-3))
        torch.testing.assert_close(short["decay"], short["window"], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", ["maml", "meta_sgd", "reptile", "ridge_head", "item_user_bias", "als"], indirect=True)
def test_a_whole_weight_is_that_many_equal_rows(name: str) -> None:
    from metarec.streaming.modes import adapt_weighted

    ratings = data()
    algorithm = made(name, ratings, torch.float64)
    task, item, rating = torch.tensor([8]), torch.tensor([[3, 5, 7]]), torch.tensor([[1.0, 4.0, 5.0]]).double()
    real = torch.ones(1, 3, dtype=torch.bool)
    weighted = adapt_weighted(algorithm, task, Rows(item, rating, real), torch.tensor([[3.0, 1.0, 2.0]]))
    times = torch.tensor([0, 0, 0, 1, 2, 2])
    repeated = algorithm.adapt(task, Rows(item[:, times], rating[:, times], torch.ones(1, 6, dtype=torch.bool)))
    query = torch.tensor([[1, 2, 3, 9]])
    torch.testing.assert_close(algorithm.predict(weighted, task, query), algorithm.predict(repeated, task, query))


@pytest.mark.parametrize(
    ("make", "mode", "message"),
    [
        (ItemUserBias, "continue", "ItemUserBias has no inner loop of gradient steps"),
        (RidgeHead, "continue", "RidgeHead has no inner loop of gradient steps"),
        (lambda net: Pretrain(net, adaptation_steps=0), "continue", "Pretrain has no inner loop of gradient steps"),
        (lambda net: ImplicitMAML(net, ["all"]), "continue", "ImplicitMAML has no inner loop"),
        (ItemKNN, "decay", "ItemKNN cannot weigh the ratings that it adapts to; take reset or window"),
        (ItemMean, "decay", "ItemMean cannot weigh"),
        (lambda net: RidgeHead(net, neighbours=ResidualNeighbours), "decay", "RidgeHead with neighbours"),
        (lambda net: MAML(net, loss="bpr"), "decay", "MAML: a loss of pairs has no weight for each rating"),
    ],
)
def test_modes_that_cannot_be_are_refused(make: Callable[[Net], Algorithm], mode: Mode, message: str) -> None:
    ratings = data()
    with pytest.raises(InputError, match=f"{mode}: {message}"):
        replay(make(tiny_net(ratings)), events_of(ratings), [mode])


def test_predictions_that_are_no_numbers_are_refused() -> None:
    ratings = data()
    algorithm = MAML(tiny_net(ratings), ["all"], 1e6, adaptation_steps=9).eval()
    with pytest.raises(DivergedError, match=r"reset: [0-9]+ predictions are not finite; lower"):
        replay(algorithm, events_of(ratings), ["reset"])


def test_bad_numbers_and_data_without_times_are_refused() -> None:
    for options in ({"window": 0}, {"half_life": 0.0}, {"steps": 0}, {"half_life_in": "weeks"}):
        with pytest.raises(InputError, match=next(iter(options))):
            Adaptation(**options)
    ratings = data()
    split = split_of(ratings)
    with pytest.raises(InputError, match="synthetic has no times"):
        stream_of(dataclasses.replace(ratings, time=np.zeros_like(ratings.time)), split)
    with pytest.raises(InputError, match="no rating is later than the last training rating"):
        stream_of(ratings, dataclasses.replace(split, train=np.arange(len(ratings))), "all")
