import copy
import doctest
import math
import pickle
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import Tensor

from metarec.errors import InputError
from metarec.metrics import collection, higher_is_better
from metarec.metrics.base import TaskMetric
from metarec.metrics.collection import (
    AreaUnderCurvePerTask,
    MeanAbsoluteErrorPerTask,
    NDCGPerTask,
    metrics_of,
    rating_metrics,
    require_negatives,
)
from metarec.metrics.functional import auc, mae, ndcg, rmse
from metarec.metrics.ranking import average_precision, hit_rate, precision, recall, reciprocal_rank

TOP = ["precision", "recall", "hit", "mrr", "map"]
NAMES = ["mae", "rmse", "mse", "ndcg_linear@2", "ndcg_exp@2", *(f"{name}@2" for name in TOP)]


def draw(tasks: int = 50, width: int = 6) -> tuple[Tensor, Tensor, Tensor]:
    random = torch.Generator().manual_seed(0)
    target = torch.randint(1, 6, (tasks, width), generator=random).double()
    mask = torch.rand(tasks, width, generator=random) < 0.5
    mask[3] = False
    return torch.rand(tasks, width, generator=random), target, mask


def test_doc_examples() -> None:
    result = doctest.testmod(collection, extraglobs={"torch": torch})
    assert result.attempted >= 13
    assert result.failed == 0


def test_the_dictionary_is_keyed_by_the_metric_names() -> None:
    assert list(rating_metrics(2)) == NAMES
    assert [metric.name for metric in rating_metrics(2).values()] == NAMES
    assert list(rating_metrics()) == [name.replace("@2", "@5") for name in NAMES]


def test_values_are_those_of_the_functions() -> None:
    tasks = draw()
    expected = [
        mae(*tasks),
        rmse(*tasks),
        rmse(*tasks).square(),
        ndcg(*tasks, k=2, gain="linear"),
        ndcg(*tasks, k=2, gain="exponential"),
        *(function(*tasks, k=2) for function in (precision, recall, hit_rate, reciprocal_rank, average_precision)),
    ]
    for metric, values in zip(rating_metrics(2).values(), expected, strict=True):
        torch.testing.assert_close(metric.values(*tasks), values, rtol=0, atol=0, equal_nan=True)
        assert metric.update_count == 0


@pytest.mark.fault("empty-truth")
@pytest.mark.parametrize("name", NAMES)
def test_compute_is_the_mean_over_the_tasks_with_a_value(name: str) -> None:
    metric, tasks = rating_metrics(2)[name], draw()
    for batch in zip(*(column.split(8) for column in tasks), strict=True):
        metric.update(metric.values(*batch))
    values = metric.values(*tasks)
    assert values.isnan().any()
    assert metric.compute().item() == pytest.approx(values.nanmean().item(), abs=1e-12)
    assert metric.compute().dtype == torch.float64
    assert (metric.tasks.item(), metric.missing.item()) == ((~values.isnan()).sum(), values.isnan().sum())


@pytest.mark.fault("empty-truth")
def test_no_task_with_a_value_gives_nan() -> None:
    metric = MeanAbsoluteErrorPerTask()
    metric.update(torch.tensor([math.nan, math.nan]))
    assert metric.compute().isnan()
    assert metric.missing == 2


def test_an_infinite_value_counts_as_missing() -> None:
    metric = MeanAbsoluteErrorPerTask()
    metric.update(torch.tensor([1.0, math.inf, 2.0]))
    assert metric.compute() == 1.5
    assert metric.missing == 1


def test_calling_gives_the_mean_of_the_batch_and_adds_it() -> None:
    metric = MeanAbsoluteErrorPerTask()
    assert metric(torch.tensor([1.0, 3.0])) == 2
    assert metric(torch.tensor([8.0])) == 8
    assert metric.compute() == 4
    metric.reset()
    assert (metric.total, metric.tasks, metric.missing) == (0, 0, 0)


def test_only_one_value_per_task_is_accepted() -> None:
    with pytest.raises(ValueError, match=r"mae was updated with shape \(2, 3\)"):
        MeanAbsoluteErrorPerTask().update(torch.rand(2, 3))


def test_states_stay_exact_after_a_cast_to_half_precision() -> None:
    metric = MeanAbsoluteErrorPerTask().to(torch.bfloat16)
    for _ in range(600):
        metric.update(torch.tensor([1.001]))
    assert metric.compute().item() == pytest.approx(1.001, abs=1e-6)
    assert metric.tasks == 600


def test_copies_and_pickles_keep_what_was_added() -> None:
    metric = NDCGPerTask(3, "exponential")
    metric.update(torch.tensor([0.25, 0.75]))
    for twin in (copy.deepcopy(metric), pickle.loads(pickle.dumps(metric))):
        twin.update(torch.tensor([0.8]))
        assert twin.name == "ndcg_exp@3"
        assert twin.compute().item() == pytest.approx(0.6, abs=1e-7)
    assert metric.compute() == 0.5


@pytest.mark.parametrize(("k", "gain", "match"), [(0, "linear", "at least 1"), (5, "exp", "give 'linear'")])
def test_bad_arguments_are_refused_at_once(k: int, gain: str, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        NDCGPerTask(k, gain)  # type: ignore[arg-type]


def test_the_base_class_computes_nothing() -> None:
    with pytest.raises(NotImplementedError):
        TaskMetric().values(*draw())
    with pytest.raises(NotImplementedError):
        _ = TaskMetric().name


def compute_on_rank(rank: int, folder: str) -> None:
    dist.init_process_group("gloo", init_method=f"file://{folder}/rendezvous", rank=rank, world_size=2)
    metric = MeanAbsoluteErrorPerTask()
    metric.update(torch.tensor([11.0, math.nan] if rank else [1.0, 2.0, 6.0]))
    torch.save((metric.compute(), metric.tasks), f"{folder}/{rank}.pt")
    dist.destroy_process_group()


@pytest.mark.slow
def test_two_processes_compute_the_mean_over_all_tasks(tmp_path: Path) -> None:
    mp.spawn(compute_on_rank, (str(tmp_path),), nprocs=2)
    for rank, own in enumerate([3, 1]):
        mean, tasks = torch.load(tmp_path / f"{rank}.pt")
        assert mean == 5
        assert tasks == own


def test_tables_and_classes_agree_on_what_is_better() -> None:
    for name, metric in {**rating_metrics(), **metrics_of("clicks")}.items():
        assert metric.higher_is_better == higher_is_better(name)


def test_clicks_are_judged_by_auc_alone() -> None:
    assert list(metrics_of("clicks")) == ["auc"]
    assert list(metrics_of("ratings", 2)) == NAMES
    with pytest.raises(InputError, match="no feedback 'click'; did you mean clicks"):
        metrics_of("click")  # type: ignore[arg-type]
    prediction, target, mask = draw()
    values = AreaUnderCurvePerTask().values(prediction, (target > 3).double(), mask)
    expected = auc(prediction, target, mask, relevant=4.0)
    torch.testing.assert_close(values, expected, rtol=0, atol=0, equal_nan=True)
    assert values.isfinite().any()


@pytest.mark.parametrize(("feedback", "negatives"), [("clicks", 0), ("ratings", 4)])
def test_clicks_need_negatives_and_ratings_bear_none(feedback: str, negatives: int) -> None:
    with pytest.raises(InputError, match=f"model.feedback {feedback} with data.negatives {negatives}: give clicks"):
        require_negatives(feedback, negatives, disliked=False)  # type: ignore[arg-type]
    require_negatives("clicks", 1, disliked=False)
    require_negatives("clicks", 0, disliked=True)
    require_negatives("ratings", 0, disliked=False)
    require_negatives("ratings", 0, disliked=True)
