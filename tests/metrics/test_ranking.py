"""Plain loops, enumerated orders of ties, torchmetrics and scikit-learn are the oracles."""

import doctest
import itertools
import math
import time
from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score
from torch import Tensor
from torchmetrics import Metric, retrieval
from torchmetrics.functional.retrieval import (
    retrieval_average_precision,
    retrieval_hit_rate,
    retrieval_precision,
    retrieval_recall,
    retrieval_reciprocal_rank,
)

from metarec.metrics import ranking, ranks, top
from metarec.metrics.functional import auc, ndcg
from metarec.metrics.ranking import (
    average_precision,
    binary_ndcg,
    hit_rate,
    precision,
    query_ranks,
    recall,
    reciprocal_rank,
)
from tests.metrics.test_functional import draw, fastest, full, one, same

METRICS: dict[str, Callable[..., Tensor]] = {
    "precision": precision,
    "recall": recall,
    "hit": hit_rate,
    "mrr": reciprocal_rank,
    "map": average_precision,
}
every_metric = pytest.mark.parametrize("name", METRICS)


def plainly(name: str, order: list[bool], k: int) -> float:
    """The metric of one list of which the best comes first, by its definition."""
    top, total = order[:k], sum(order)
    hits = [rank for rank, relevant in enumerate(top, start=1) if relevant]
    if name == "precision":
        return len(hits) / k
    if name == "recall":
        return len(hits) / total
    if name == "hit":
        return float(bool(hits))
    if name == "mrr":
        return 1 / hits[0] if hits else 0.0
    return sum(sum(top[:rank]) / rank for rank in hits) / min(total, k)


def expected(name: str, score: list[float], label: list[bool], k: int) -> float:
    """Mean over all orders of the rows that keep better scores in front."""
    values = [
        plainly(name, [label[row] for row in order], k)
        for order in itertools.permutations(range(len(score)))
        if all(score[a] >= score[b] for a, b in itertools.pairwise(order))
    ]
    return sum(values) / len(values)


def labels(target: Tensor, row: Tensor) -> list[bool]:
    return (target[row] >= 4).tolist()


def test_doc_examples() -> None:
    for module, least in ((ranking, 12), (top, 22)):
        result = doctest.testmod(module, extraglobs={"torch": torch})
        assert result.attempted >= least
        assert result.failed == 0


def test_by_hand() -> None:
    """Relevant rows at ranks 2, 3 and 6 of six, K = 4."""
    score, target = one([6.0, 5.0, 4.0, 3.0, 2.0, 1.0]), one([1.0, 4.0, 5.0, 3.5, 2.0, 4.5])
    found = {name: metric(score, target, full(target), 4).item() for name, metric in METRICS.items()}
    right = {"precision": 2 / 4, "recall": 2 / 3, "hit": 1.0, "mrr": 1 / 2, "map": (1 / 2 + 2 / 3) / 3}
    assert found == pytest.approx(right, abs=1e-15)


@pytest.mark.parametrize("k", [1, 3, 5])
@every_metric
def test_without_ties_it_is_the_definition(name: str, k: int) -> None:
    score, target, mask = draw(k, tasks=80)
    checked = 0
    for value, own, rating, row in zip(METRICS[name](score, target, mask, k), score, target, mask, strict=True):
        order = [labels(rating, row)[place] for place in own[row].argsort(descending=True).tolist()]
        if len(order) > k and any(order):
            assert value.item() == pytest.approx(plainly(name, order, k), abs=1e-12)
            checked += 1
        else:
            assert value.isnan()
    assert checked > 20


@pytest.mark.parametrize("k", [1, 2, 3, 5])
@every_metric
def test_ties_are_the_mean_over_all_orders(name: str, k: int) -> None:
    random = torch.Generator().manual_seed(k)
    score = torch.randint(0, 3, (25, 6), generator=random).double()
    target = torch.where(torch.rand(25, 6, generator=random) < 0.5, 4.0, 2.0).double()
    for value, own, rating in zip(METRICS[name](score, target, full(target), k), score, target, strict=True):
        if (rating >= 4).any():
            right = expected(name, own.tolist(), (rating >= 4).tolist(), k)
            assert value.item() == pytest.approx(right, abs=1e-12)


@every_metric
def test_it_equals_torchmetrics(name: str) -> None:
    """Average precision where all relevant rows are in the top K: elsewhere torchmetrics divides otherwise.

    Scores are positive, since torchmetrics 1.9 takes a row with a score of 0 or less for one that was not retrieved.
    """
    theirs = {
        "precision": retrieval_precision,
        "recall": retrieval_recall,
        "hit": retrieval_hit_rate,
        "mrr": retrieval_reciprocal_rank,
        "map": retrieval_average_precision,
    }[name]
    score, target, mask = draw(7, tasks=120)
    score = score.exp()
    checked = 0
    for value, own, rating, row in zip(METRICS[name](score, target, mask, 4), score, target, mask, strict=True):
        label = rating[row] >= 4
        inside = label[own[row].argsort(descending=True)][4:].sum() == 0
        if row.sum() > 4 and label.any() and (name != "map" or inside):
            assert value.item() == pytest.approx(theirs(own[row], label, top_k=4).item(), abs=1e-6)
            checked += 1
    assert checked >= 10


def test_average_precision_equals_scikit_learn_where_nothing_relevant_is_cut_off() -> None:
    score, target, _ = draw(3, tasks=60)
    score[:, 0] -= 100
    target[:, 0] = 1
    for value, own, rating in zip(average_precision(score, target, full(target), 8), score, target, strict=True):
        if (rating >= 4).any():
            right = average_precision_score((rating >= 4).numpy(), own.numpy())
            assert value.item() == pytest.approx(right, abs=1e-12)


@given(relevant=st.integers(1, 9), others=st.integers(0, 12), k=st.integers(1, 12))
@settings(max_examples=60, deadline=None)
def test_a_constant_prediction_scores_chance(relevant: int, others: int, k: int) -> None:
    rows = relevant + others
    target = one([5.0] * relevant + [1.0] * others)
    found = {name: metric(torch.ones_like(target), target, full(target), k).item() for name, metric in METRICS.items()}
    if rows <= k:
        assert all(math.isnan(value) for value in found.values())
        return
    ways, harmonic = math.comb(rows, relevant), sum(1 / rank for rank in range(1, k + 1))
    slope = (relevant - 1) / (rows - 1)
    chance = {
        "precision": relevant / rows,
        "recall": k / rows,
        "hit": 1 - math.comb(others, k) / math.comb(rows, k),
        "mrr": sum(math.comb(rows - rank, relevant - 1) / ways / rank for rank in range(1, k + 1)),
        "map": relevant / rows / min(relevant, k) * (harmonic + slope * (k - harmonic)),
    }
    assert found == pytest.approx(chance, abs=1e-12)


@every_metric
def test_random_orders_score_chance_on_average(name: str) -> None:
    target = one([5, 3, 4, 1, 2, 2, 5, 3, 3, 1]).expand(20_000, 10)
    random = torch.rand(target.shape, generator=torch.Generator().manual_seed(2))
    values = METRICS[name](random, target, full(target), 3)
    chance = METRICS[name](torch.zeros_like(target[:1]), target[:1], full(target[:1]), 3).item()
    error = values.std().item() / math.sqrt(len(values))
    assert abs(values.mean().item() - chance) < 4 * error < 0.02


def test_ndcg_from_ranks_is_that_of_ratings_zero_and_one() -> None:
    for ties in (False, True):
        score, target, mask = draw(5, tasks=80, ties=ties)
        label = (target >= 4).double()
        same(ranks.ndcg(query_ranks(score, label, mask, 1.0), 3), ndcg(score, label, mask, 3, "linear"))


def test_binary_ndcg_is_that_of_recbole() -> None:
    """Gains of 1 at the ranks of relevant rows over as many gains at the top, K at most."""
    score, target, mask = draw(4, tasks=80)
    gains, checked = 1 / np.log2(np.arange(2, 5)), 0
    for value, own, rating, row in zip(binary_ndcg(score, target, mask, 3), score, target, mask, strict=True):
        order = [labels(rating, row)[place] for place in own[row].argsort(descending=True).tolist()]
        if len(order) > 3 and any(order):
            right = (gains * order[:3]).sum() / gains[: sum(order)].sum()
            assert value.item() == pytest.approx(right, abs=1e-12)
            checked += 1
        else:
            assert value.isnan()
    assert checked > 20


@pytest.mark.fault("empty-truth")
@every_metric
def test_tasks_without_a_value_are_nan(name: str) -> None:
    score = torch.arange(24.0).reshape(6, 4)
    target = torch.tensor([[4.0, 1.0, 1.0, 5.0]]).repeat(6, 1)
    mask = full(target)
    target[1] = 3.9  # nothing relevant
    mask[2, 1:3] = False  # as many rows as ranks
    mask[3] = False  # no row
    score[4, 1] = math.nan
    target[5, 1] = math.inf
    values = METRICS[name](score, target, mask, 2)
    assert values.isnan().tolist() == [False, True, True, True, True, True]
    assert values.dtype == torch.float64
    assert METRICS[name](score[:, :0], target[:, :0], mask[:, :0], 2).isnan().all()
    assert METRICS[name](score[:0], target[:0], mask[:0], 2).shape == (0,)


@every_metric
def test_bad_arguments_are_refused(name: str) -> None:
    target = torch.rand(2, 4)
    for k in (0, -1, 2.0, True):
        with pytest.raises(ValueError, match="at least 1"):
            METRICS[name](target, target, full(target), k)
    with pytest.raises(ValueError, match=r"same \(T, Q\)"):
        METRICS[name](target[:, :1], target, full(target), 2)
    with pytest.raises(ValueError, match=r"torch\.bool"):
        METRICS[name](target, target, torch.ones(2, 4), 2)


@every_metric
def test_the_threshold_is_the_lowest_relevant_rating(name: str) -> None:
    score, target, mask = draw(9)
    on_ten = METRICS[name](score, target * 2, mask, 3, 8.0)
    same(on_ten, METRICS[name](score, target, mask, 3))
    assert not torch.equal(on_ten.nan_to_num(), METRICS[name](score, target, mask, 3, 2.0).nan_to_num())


@every_metric
@given(seed=st.integers(0, 2**32), ties=st.booleans(), k=st.integers(1, 6))
@settings(max_examples=20, deadline=None)
def test_columns_tasks_and_monotone_changes_of_scores_do_not_matter(name: str, seed: int, ties: bool, k: int) -> None:
    metric = partial(METRICS[name], k=k)
    score, target, mask = draw(seed, ties=ties)
    values = metric(score, target, mask)
    random = torch.Generator().manual_seed(seed)
    columns = torch.rand(score.shape, generator=random).argsort(1)
    same(metric(*(part.gather(1, columns) for part in (score, target, mask))), values)
    order = torch.randperm(len(values), generator=random)
    same(metric(score[order], target[order], mask[order]), values[order])
    same(metric(score * 4, target, mask), values)
    same(metric(score.sign() * score.square() * 8 + score, target, mask), values)
    kept = values[values.isfinite()]
    assert ((kept >= 0) & (kept <= 1 + 1e-12)).all()


@every_metric
@given(seed=st.integers(0, 2**32), extra=st.integers(0, 5), junk=st.sampled_from([math.nan, math.inf, -1e30, 99.0]))
@settings(max_examples=20, deadline=None)
def test_padding_does_not_matter(name: str, seed: int, extra: int, junk: float) -> None:
    score, target, mask = draw(seed, ties=True)
    more = torch.full((len(mask), extra), junk, dtype=torch.float64)
    padded = [torch.cat([part.masked_fill(~mask, junk), more], 1) for part in (score, target)]
    longer = torch.cat([mask, torch.zeros_like(more, dtype=torch.bool)], 1)
    same(METRICS[name](*padded, longer, 3), METRICS[name](score, target, mask, 3))


def test_a_perfect_order_scores_best() -> None:
    _, target, mask = draw(11, tasks=80)
    for name in ("hit", "mrr", "map"):
        values = METRICS[name](target, target, mask, 3)
        same(values[values.isfinite()], torch.ones(int(values.isfinite().sum())).double())


@pytest.fixture
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.mark.usefixtures("_one_thread")
@every_metric
def test_it_is_many_times_faster_than_torchmetrics(name: str) -> None:
    """On 400 users; `metarec bench --only ranking` measures 5,000, where it is faster by far more."""
    kind = {
        "precision": retrieval.RetrievalPrecision,
        "recall": retrieval.RetrievalRecall,
        "hit": retrieval.RetrievalHitRate,
        "mrr": retrieval.RetrievalMRR,
        "map": retrieval.RetrievalMAP,
    }[name]
    random = np.random.default_rng(5)
    target = torch.from_numpy(random.integers(1, 6, (400, 10)))
    score = torch.from_numpy(random.random(size=(400, 10)))
    query, k = torch.arange(400).repeat_interleave(10), 9
    target.scatter_(1, score.argmin(1, keepdim=True), 1)
    flat = score.flatten(), target.flatten() >= 4
    metric = kind(top_k=k, empty_target_action="skip")
    start = time.perf_counter()
    theirs = metric(*flat, indexes=query)
    seconds = time.perf_counter() - start
    ours, own = fastest(lambda: METRICS[name](score, target, full(target), k).nanmean(), runs=5)
    assert ours.item() == pytest.approx(theirs.item(), abs=1e-6)
    assert own * 10 < seconds


CLASSES: dict[str, Callable[..., Metric]] = {
    "precision": retrieval.RetrievalPrecision,
    "recall": retrieval.RetrievalRecall,
    "hit": retrieval.RetrievalHitRate,
    "mrr": retrieval.RetrievalMRR,
    "map": retrieval.RetrievalMAP,
    "ndcg": retrieval.RetrievalNormalizedDCG,
    "auc": retrieval.RetrievalAUROC,
}


@pytest.mark.slow
@pytest.mark.usefixtures("_one_thread")
@pytest.mark.parametrize("name", CLASSES)
def test_five_thousand_users_take_a_fiftieth_of_the_time_of_torchmetrics(name: str) -> None:
    """Ten items each; in time of the processor, so that other work on the machine does not count."""
    random = np.random.default_rng(5)
    target = torch.from_numpy(random.integers(1, 6, (5_000, 10)))
    score = torch.from_numpy(random.random(size=(5_000, 10)))
    query, k = torch.arange(5_000).repeat_interleave(10), 9
    target.scatter_(1, score.argmin(1, keepdim=True), 1)
    options: dict = {} if name == "auc" else {"top_k": k}
    graded = target.flatten() if name == "ndcg" else target.flatten() >= 4
    metric = CLASSES[name](empty_target_action="skip", **options)
    functions = METRICS | {"ndcg": partial(ndcg, gain="linear")}
    function = partial(auc, relevant=4.0) if name == "auc" else partial(functions[name], k=k)
    mask = full(target)

    def busy(run: Callable[[], Tensor]) -> tuple[float, Tensor]:
        start = time.process_time()
        value = run()
        return time.process_time() - start, value

    seconds, theirs = busy(lambda: metric(score.flatten(), graded, indexes=query))
    measured = [busy(lambda: function(score, target, mask).nanmean()) for _ in range(7)]
    assert measured[0][1].item() == pytest.approx(theirs.item(), abs=1e-6)
    assert min(own for own, _ in measured) * 50 < seconds
