import doctest

import pytest
import torch
from torch import Tensor

from metarec.errors import InputError
from metarec.metrics import higher_is_better, largest, named, ranking, top, values
from metarec.metrics.collection import metrics_of
from metarec.metrics.functional import ndcg
from metarec.metrics.named import all_metrics, metric_named
from metarec.metrics.top import OF_LARGEST, TopOfLargest, TopOfValues
from tests.metrics.test_collection import draw
from tests.metrics.test_functional import same

EVERY = {
    "ndcg_linear@2": lambda *tasks: ndcg(*tasks, k=2, gain="linear"),
    "ndcg_exp@4": lambda *tasks: ndcg(*tasks, k=4, gain="exponential"),
    "precision@2": lambda *tasks: ranking.precision(*tasks, k=2, relevant=3.0),
    "map@1": lambda *tasks: ranking.average_precision(*tasks, k=1, relevant=3.0),
    "ndcg_binary@2": lambda *tasks: ranking.binary_ndcg(*tasks, k=2, relevant=3.0),
    "precision_top1@2": lambda *tasks: largest.precision(*tasks, k=2, most=1),
    "recall_top2@1": lambda *tasks: largest.recall(*tasks, k=1, most=2),
    "hit_top1@1": lambda *tasks: largest.hit(*tasks, k=1, most=1),
    "ndcg_top2@2": lambda *tasks: largest.ndcg(*tasks, k=2, most=2),
    "mrr_top3@2": lambda *tasks: largest.reciprocal_rank(*tasks, k=2, most=3),
    "precision_values@2": lambda *tasks: values.precision_values(*tasks, k=2),
    "map_values@2": lambda *tasks: values.map_values(*tasks, k=2),
}


def test_doc_examples() -> None:
    assert doctest.testmod(named).attempted >= 2
    assert doctest.testmod(named).failed == 0


@pytest.mark.parametrize("name", EVERY)
def test_a_name_stands_for_its_function(name: str) -> None:
    metric, tasks = metric_named(name, relevant=3.0), draw()
    found, right = metric.values(*tasks), EVERY[name](*tasks)
    same(found, right)
    assert found.isfinite().any()
    assert metric.name == name
    assert metric.higher_is_better == higher_is_better(name)
    metric.update(found)
    assert metric.compute().item() == pytest.approx(right.nanmean().item(), abs=1e-12)


@pytest.mark.parametrize(
    ("name", "cure"),
    [
        ("precision_top5", "did you mean precision_top5@5"),
        ("precison_top5@7", "did you mean precision_top5@7"),
        ("map_top5@7", "did you mean mrr_top5@7"),
        ("ndcg_exp@0", "did you mean ndcg_exp@5"),
        ("precision_to5@5", "did you mean precision_top5@5"),
        ("precision_top0@5", "did you mean precision_top5@5"),
        ("beauty", "give NAME@K, with one of "),
    ],
)
def test_other_names_are_refused_with_the_nearest(name: str, cure: str) -> None:
    with pytest.raises(InputError, match=f"model.more_metrics: no metric '{name}'; {cure}"):
        metric_named(name, 4.0)


def test_further_metrics_follow_those_of_every_table() -> None:
    found = all_metrics("ratings", 5, 4.0, ["hit_top2@1", "ndcg_exp@7"])
    assert list(found) == [*metrics_of("ratings"), "hit_top2@1", "ndcg_exp@7"]
    assert list(all_metrics("ratings", 5, 4.0)) == list(metrics_of("ratings"))
    with pytest.raises(InputError, match="ndcg_exp@5 is reported already; leave it out"):
        all_metrics("ratings", 5, 4.0, ["ndcg_exp@5"])
    with pytest.raises(InputError, match="hit_top2@1 is reported already"):
        all_metrics("ratings", 5, 4.0, ["hit_top2@1", "hit_top2@1"])


def test_a_click_is_relevant() -> None:
    score, target, mask = draw()
    click = (target > 2).double()
    found: Tensor = all_metrics("clicks", 5, 4.0, ["mrr@1"])["mrr@1"].values(score, click, mask)
    same(found, ranking.reciprocal_rank(score, click, mask, k=1, relevant=1.0))
    assert found.isfinite().any()


def test_bad_arguments_of_the_classes_are_refused() -> None:
    for most, k in ((0, 1), (1, 0)):
        with pytest.raises(ValueError, match="at least 1"):
            TopOfLargest("hit", most, k)
    with pytest.raises(ValueError, match="at least 1"):
        TopOfValues("map_values", 0)
    with pytest.raises(KeyError):
        TopOfLargest("map", 1, 1)
    assert set(OF_LARGEST) | {"map"} == {*top.IN_TABLES, "ndcg"}
    assert torch.equal(metric_named("hit_top1@1", 4.0).total, torch.zeros((), dtype=torch.float64))
