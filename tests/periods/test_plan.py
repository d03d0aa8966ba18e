"""Methods followed through periods: which runs there are, and whose weights each begins with."""

import dataclasses
from pathlib import Path

import pytest

from metarec import experiment
from metarec.errors import InputError
from metarec.experiment import Experiment, Method
from metarec.periods import plan

PATH = Path("experiments/movielens-100k-periods.yaml")


@pytest.fixture
def followed() -> Experiment:
    return experiment.only(experiment.load(PATH), ["item-mean", "fomaml"])


def test_runs_and_their_weights(followed: Experiment) -> None:
    found = plan.expanded(followed, 4).methods
    names = ["frozen-2", "retrained-2", "frozen-3", "retrained-3"]
    assert [name for name in found if name.startswith("item")] == [
        "item-mean-first",
        *(f"item-mean-{n}" for n in names),
    ]
    weights = {name: (method.weights_from, method.starts_from) for name, method in found.items()}
    assert {name: pair for name, pair in weights.items() if pair != (None, None)} == {
        "fomaml-frozen-2": ("fomaml-first", None),
        "fomaml-frozen-3": ("fomaml-first", None),
        "fomaml-fine-tuned-2": (None, "fomaml-first"),
        "fomaml-fine-tuned-3": (None, "fomaml-fine-tuned-2"),
    }
    options = found["fomaml-fine-tuned-3"].options
    assert (options[f"{plan.OPTION}.period"], options[f"{plan.OPTION}.train"]) == (3, "last")


def test_jobs_stand_behind_what_they_need(followed: Experiment, tmp_path: Path) -> None:
    jobs = experiment.expand(plan.expanded(followed, 4), tmp_path)
    made = set()
    for job in jobs:
        assert job.needs is None or job.needs.parents[1] in made
        made.add(job.folder)
    by_name = {job.method: job.command for job in jobs}
    start = tmp_path / "fomaml-fine-tuned-2" / "seed-0" / "checkpoints" / "best.ckpt"
    assert by_name["fomaml-fine-tuned-3"][0] == "fit"
    assert f"--start_from={start}" in by_name["fomaml-fine-tuned-3"]
    assert by_name["fomaml-frozen-3"][0] == "test"
    assert (
        f"--ckpt_path={tmp_path / 'fomaml-first' / 'seed-0' / 'checkpoints' / 'best.ckpt'}"
        in by_name["fomaml-frozen-3"]
    )


def test_how_many_periods(followed: Experiment) -> None:
    assert plan.periods_of(followed, PATH) == 5
    assert plan.periods_of(dataclasses.replace(followed, options={}), PATH) == 6
    without = dataclasses.replace(followed, layers=["configs/base.yaml", "configs/scenario/warm.yaml"])
    with pytest.raises(InputError, match="need the layer configs"):
        plan.periods_of(without, PATH)


def test_a_later_layer_may_say_how_many(followed: Experiment, tmp_path: Path) -> None:
    layer = tmp_path / "three.yaml"
    layer.write_text("data: {scenario: {init_args: {periods: 3}}}\n")
    layered = dataclasses.replace(followed, layers=[*followed.layers, str(layer)], options={})
    assert plan.periods_of(layered, PATH) == 3


def test_options_of_the_scenario_are_refused() -> None:
    plan.require_fixed(["trainer.max_epochs=1"])
    with pytest.raises(InputError, match="set it in the experiment file"):
        plan.require_fixed(["data.scenario.init_args.periods=3"])


@pytest.mark.parametrize(
    ("negatives", "metric", "words"),
    [(4, "", "data.negatives: "), (0, "zero_shot/full_ndcg@10", "other catalogues"), (0, "coverage@10", "catalogues")],
)
def test_ways_that_would_be_judged_on_other_rows(followed: Experiment, negatives: int, metric: str, words: str) -> None:
    plan.require_same_rows(followed, {"data": {"negatives": 0}}, "rmse")
    with pytest.raises(InputError, match=words):
        plan.require_same_rows(followed, {"data": {"negatives": negatives}}, metric)


def test_borrowed_weights_are_refused(followed: Experiment) -> None:
    borrowed = dataclasses.replace(followed, methods={**followed.methods, "tuned": Method(weights_from="fomaml")})
    with pytest.raises(InputError, match="tuned: weights of another method"):
        plan.expanded(borrowed, 4)
