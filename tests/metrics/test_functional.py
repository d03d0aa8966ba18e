import doctest
import math
import time
from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import ndcg_score, roc_auc_score
from torch import Tensor
from torchmetrics.functional import mean_absolute_error, mean_squared_error
from torchmetrics.retrieval import RetrievalNormalizedDCG

from metarec.metrics import functional
from metarec.metrics.functional import Gain, auc, chance_ndcg, mae, ndcg, rmse

Tasks = tuple[Tensor, Tensor, Tensor]
GAINS: list[Gain] = ["linear", "exponential"]
METRICS: dict[str, Callable[[Tensor, Tensor, Tensor], Tensor]] = {
    "mae": mae,
    "rmse": rmse,
    "ndcg_linear": partial(ndcg, k=3, gain="linear"),
    "ndcg_exp": partial(ndcg, k=3, gain="exponential"),
    "auc": partial(auc, relevant=3.0),
}
every_metric = pytest.mark.parametrize("metric", METRICS.values(), ids=METRICS)
every_gain = pytest.mark.parametrize("gain", GAINS)


def draw(seed: int, tasks: int = 40, width: int = 9, *, ties: bool = False) -> Tasks:
    """Tasks with 0..width rows at random places, ratings 0..5 in halves, many ties or none."""
    random = torch.Generator().manual_seed(seed)
    target = torch.randint(0, 11, (tasks, width), generator=random).double() / 2
    prediction = torch.randn(tasks, width, generator=random, dtype=torch.float64)
    mask = torch.rand(tasks, width, generator=random) < torch.rand(tasks, 1, generator=random) + 0.3
    return (prediction * 2).round() / 2 if ties else prediction, target, mask


def one(values: list[float]) -> Tensor:
    return torch.tensor([values], dtype=torch.float64)


def full(values: Tensor) -> Tensor:
    return torch.ones_like(values, dtype=torch.bool)


def same(left: Tensor, right: Tensor) -> None:
    torch.testing.assert_close(left, right, rtol=0, atol=1e-12, equal_nan=True)


def tied_ndcg(prediction: Tensor, target: Tensor, k: int, gain: Gain) -> float:
    """scikit-learn's nDCG of one task, with ties averaged."""
    gains = target.numpy() if gain == "linear" else 2 ** target.numpy() - 1
    return float(ndcg_score(gains[None], prediction.numpy()[None], k=k))


def test_doc_examples() -> None:
    result = doctest.testmod(functional)
    assert result.attempted >= 10
    assert result.failed == 0


def test_hand_computed_values() -> None:
    prediction, target = one([0.9, 0.8, 0.1]), one([1.0, 3.0, 2.0])
    discount = 1 / math.log2(3)
    assert mae(prediction, target, full(target)).item() == pytest.approx((0.1 + 2.2 + 1.9) / 3, abs=1e-12)
    assert rmse(prediction, target, full(target)).item() == pytest.approx(
        math.sqrt((0.01 + 4.84 + 3.61) / 3), abs=1e-12
    )
    linear = ndcg(prediction, target, full(target), 2, "linear").item()
    assert linear == pytest.approx((1 + 3 * discount) / (3 + 2 * discount), abs=1e-12)
    exponential = ndcg(prediction, target, full(target), 2, "exponential").item()
    assert exponential == pytest.approx((1 + 7 * discount) / (7 + 3 * discount), abs=1e-12)


def test_a_tie_across_the_cut_off_is_scored_by_expectation() -> None:
    prediction, target = one([2.0, 1.0, 1.0]), one([0.0, 4.0, 2.0])
    discount = 1 / math.log2(3)
    # Rank 2 holds either tied row half of the time; the best order puts 4 first and 2 second.
    expected = discount * (4 + 2) / 2 / (4 + 2 * discount)
    assert ndcg(prediction, target, full(target), 2, "linear").item() == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("k", [1, 3, 5])
@every_gain
def test_ndcg_equals_scikit_learn(gain: Gain, k: int, ties: bool) -> None:
    prediction, target, mask = draw(k, ties=ties)
    values = ndcg(prediction, target, mask, k, gain)
    checked = 0
    for value, score, rating, row in zip(values, prediction, target, mask, strict=True):
        if row.sum() > k and rating[row].any():
            assert value.item() == pytest.approx(tied_ndcg(score[row], rating[row], k, gain), abs=1e-10)
            checked += 1
        else:
            assert value.isnan()
    assert checked > 15


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("relevant", [1.0, 4.5])
def test_auc_equals_scikit_learn(relevant: float, ties: bool) -> None:
    prediction, target, mask = draw(int(relevant), tasks=60, ties=ties)
    checked = 0
    for value, score, rating, row in zip(
        auc(prediction, target, mask, relevant), prediction, target, mask, strict=True
    ):
        label = rating[row].numpy() >= relevant
        if 0 < label.sum() < len(label):
            assert value.item() == pytest.approx(roc_auc_score(label, score[row].numpy()), abs=1e-12)
            checked += 1
        else:
            assert value.isnan()
    assert 20 < checked < 60


def test_auc_by_hand() -> None:
    target = one([1.0, 1.0, 0.0, 0.0])
    for scores, expected in (
        ([4.0, 3.0, 2.0, 1.0], 1.0),
        ([1.0, 2.0, 3.0, 4.0], 0.0),
        ([4.0, 2.0, 3.0, 1.0], 0.75),
        ([2.0, 2.0, 2.0, 1.0], 0.75),
        ([7.0, 7.0, 7.0, 7.0], 0.5),
    ):
        assert auc(one(scores), target, full(target)).item() == expected


def test_auc_on_sampled_rows_estimates_that_of_the_catalogue() -> None:
    """Ten relevant rows, and others drawn evenly from 500 items: right on average, however few."""
    random = torch.Generator().manual_seed(0)
    hits, catalogue = torch.randn(10, generator=random) + 1, torch.randn(500, generator=random)
    label = torch.cat([torch.ones(10), torch.zeros(500)])
    whole = auc(torch.cat([hits, catalogue])[None], label[None], full(label[None])).item()
    drawn = catalogue[torch.randint(0, 500, (20_000, 3), generator=random)]
    score = torch.cat([hits.expand(len(drawn), -1), drawn], dim=1)
    values = auc(score, label[:13].expand_as(score), full(score))
    assert abs(values.mean().item() - whole) < 4 * values.std().item() / math.sqrt(len(values))


def test_mae_and_rmse_equal_torchmetrics() -> None:
    prediction, target, mask = draw(0)
    absolute, squared = mae(prediction, target, mask), rmse(prediction, target, mask)
    for task in mask.any(1).nonzero().flatten().tolist():
        row = prediction[task, mask[task]], target[task, mask[task]]
        assert absolute[task].item() == pytest.approx(mean_absolute_error(*row).item(), abs=1e-6)
        assert squared[task].item() == pytest.approx(mean_squared_error(*row, squared=False).item(), abs=1e-6)


@every_gain
def test_constant_predictions_score_exactly_chance(gain: Gain) -> None:
    _, target, mask = draw(1)
    same(ndcg(torch.full_like(target, 3.6), target, mask, 3, gain), chance_ndcg(target, mask, 3, gain))


@every_gain
def test_random_orders_score_chance_on_average(gain: Gain) -> None:
    target = one([5, 3, 4, 1, 4, 2, 5, 3, 0.5, 4]).expand(20_000, 10)
    random = torch.rand(target.shape, generator=torch.Generator().manual_seed(2))
    values = ndcg(random, target, full(target), 5, gain)
    chance = chance_ndcg(target[:1], full(target[:1]), 5, gain).item()
    standard_error = values.std().item() / math.sqrt(len(values))
    assert abs(values.mean().item() - chance) < 4 * standard_error
    assert standard_error < 0.002


@every_metric
def test_a_task_without_rows_is_nan(metric: Callable[..., Tensor]) -> None:
    prediction, target, mask = draw(3)
    mask[4] = False
    assert metric(prediction, target, mask)[4].isnan()
    assert metric(prediction[:, :0], target[:, :0], mask[:, :0]).isnan().all()
    assert metric(prediction[:0], target[:0], mask[:0]).shape == (0,)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("place", ["prediction", "target"])
@every_metric
def test_one_value_that_is_not_finite_makes_its_task_nan(metric: Callable[..., Tensor], place: str, bad: float) -> None:
    prediction, target = torch.rand(3, 6), torch.arange(6.0).expand(3, -1).clone()
    (prediction if place == "prediction" else target)[1, 2] = bad
    values = metric(prediction, target, full(target))
    assert values.isnan().tolist() == [False, True, False]


@every_gain
def test_ndcg_without_meaning_is_nan(gain: Gain) -> None:
    target = torch.tensor([[4.0, 2.0, 1.0], [4.0, 2.0, 1.0], [0.0, 0.0, 0.0], [4.0, -2.0, 1.0]])
    mask = full(target)
    mask[1, 2] = False  # as many rows as ranks
    for values in (ndcg(torch.rand(4, 3), target, mask, 2, gain), chance_ndcg(target, mask, 2, gain)):
        assert values.isnan().tolist() == [False, True, True, True]


@every_metric
def test_half_precision_is_cast_up(metric: Callable[..., Tensor]) -> None:
    prediction, target, mask = draw(4)
    half = prediction.bfloat16(), target.bfloat16()
    values = metric(*half, mask)
    assert values.dtype == torch.float64
    same(values, metric(half[0].double(), half[1].double(), mask))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        same(values, metric(*half, mask))


@pytest.mark.parametrize("k", [0, -1, 2.0, True])
def test_a_bad_cut_off_is_refused(k: int) -> None:
    target = torch.rand(2, 4)
    with pytest.raises(ValueError, match="at least 1"):
        ndcg(target, target, full(target), k, "linear")
    with pytest.raises(ValueError, match="at least 1"):
        chance_ndcg(target, full(target), k, "linear")


def test_a_bad_gain_is_refused() -> None:
    target = torch.rand(2, 4)
    with pytest.raises(ValueError, match="'exp'; give 'linear'"):
        ndcg(target, target, full(target), 2, "exp")  # type: ignore[arg-type]


@every_metric
def test_wrong_shapes_and_masks_are_refused(metric: Callable[..., Tensor]) -> None:
    target = torch.rand(2, 4)
    with pytest.raises(ValueError, match=r"same \(T, Q\)"):
        metric(target[:, :1], target, full(target))
    with pytest.raises(ValueError, match=r"same \(T, Q\)"):
        metric(target[0], target[0], full(target[0]))
    with pytest.raises(ValueError, match=r"torch\.bool"):
        metric(target, target, torch.ones(2, 4))


@every_metric
@given(seed=st.integers(0, 2**32), ties=st.booleans())
@settings(max_examples=25, deadline=None)
def test_order_of_rows_and_tasks_and_batching_do_not_matter(
    metric: Callable[..., Tensor], seed: int, ties: bool
) -> None:
    tasks = draw(seed, ties=ties)
    values = metric(*tasks)
    random = torch.Generator().manual_seed(seed)
    rows = torch.rand(tasks[0].shape, generator=random).argsort(1)
    same(metric(*(column.gather(1, rows) for column in tasks)), values)
    order = torch.randperm(len(values), generator=random)
    same(metric(*(column[order] for column in tasks)), values[order])
    batches = zip(*(column.split(7) for column in tasks), strict=True)
    same(torch.cat([metric(*batch) for batch in batches]), values)


@every_metric
@given(
    seed=st.integers(0, 2**32),
    extra=st.integers(0, 5),
    junk=st.sampled_from([math.nan, math.inf, -1e30, 99.0]),
)
@settings(max_examples=25, deadline=None)
def test_padding_does_not_matter(metric: Callable[..., Tensor], seed: int, extra: int, junk: float) -> None:
    prediction, target, mask = draw(seed, ties=True)
    more = torch.full((len(mask), extra), junk, dtype=torch.float64)
    padded = [torch.cat([column.masked_fill(~mask, junk), more], 1) for column in (prediction, target)]
    mask_and_more = torch.cat([mask, torch.zeros_like(more, dtype=torch.bool)], 1)
    same(metric(*padded, mask_and_more), metric(prediction, target, mask))


@every_gain
@given(seed=st.integers(0, 2**32), shift=st.integers(-8, 8), k=st.integers(1, 6))
@settings(max_examples=25, deadline=None)
def test_ndcg_depends_on_the_order_of_predictions_only(gain: Gain, seed: int, shift: int, k: int) -> None:
    prediction, target, mask = draw(seed, ties=True)  # halves: adding a whole number is exact
    values = ndcg(prediction, target, mask, k, gain)
    same(ndcg(prediction + shift, target, mask, k, gain), values)
    same(ndcg(prediction * 4, target, mask, k, gain), values)
    counted = values[~values.isnan()]
    assert ((counted >= 0) & (counted <= 1 + 1e-12)).all()
    best = ndcg(target, target, mask, k, gain)
    same(best, torch.where(values.isnan(), torch.nan, 1.0).double())


@pytest.fixture
def _one_thread() -> Iterator[None]:
    """Threads that wait for a busy machine's cores would be what is measured."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def fastest(compute: Callable[[], Tensor], runs: int) -> tuple[Tensor, float]:
    seconds = []
    for _ in range(runs):
        start = time.perf_counter()
        value = compute()
        seconds.append(time.perf_counter() - start)
    return value, min(seconds)


@pytest.mark.usefixtures("_one_thread")
def test_ndcg_is_ten_times_faster_than_torchmetrics() -> None:
    random = np.random.default_rng(5)
    target = torch.from_numpy(random.integers(1, 6, (2_000, 10)))
    prediction = torch.from_numpy(random.normal(size=(2_000, 10)))
    query = torch.arange(2_000).repeat_interleave(10)
    flat = prediction.flatten(), target.flatten()
    theirs, seconds = fastest(lambda: RetrievalNormalizedDCG(top_k=5)(*flat, indexes=query), runs=1)
    ours, our_seconds = fastest(lambda: ndcg(prediction, target, full(target), 5, "linear").mean(), runs=5)
    assert ours.item() == pytest.approx(theirs.item(), abs=1e-6)
    assert our_seconds * 10 < seconds
