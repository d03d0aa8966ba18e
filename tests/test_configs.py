"""Every fragment and every experiment is tried: no configuration drifts from the code."""

import importlib
import inspect
import json
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml
from optuna.distributions import CategoricalDistribution

from metarec import experiment
from metarec.commands.data import DATA_SETS
from metarec.configured import measured
from metarec.search_space import Distribution, nearest, search_space
from metarec.tables.published import of_experiment, read
from metarec.training import parse

SPACES = sorted(Path("configs").rglob("*.search.yaml"))
FRAGMENTS = sorted(set(Path("configs").rglob("*.yaml")) - set(SPACES))
EXPERIMENTS = sorted(Path("experiments").glob("*.yaml"))
PUBLISHED = Path("experiments/published.csv")


def commands(path: Path) -> list[list[str]]:
    """The metarec commands in the comments at the top of a file."""
    lines = [line.lstrip("# ") for line in path.read_text().splitlines() if line.startswith("# ")]
    return [shlex.split(line)[1:] for line in lines if line.startswith("metarec ")]


def test_there_are_fragments_of_every_kind() -> None:
    kinds = {path.parent.name for path in FRAGMENTS}
    rooms = {"algorithm", "baseline", "data", "evaluation", "feedback", "logger", "net", "protocol", "scenario"}
    assert kinds == rooms | {"configs"}


@pytest.mark.parametrize("path", FRAGMENTS, ids=str)
def test_every_fragment_says_how_to_run_it(path: Path) -> None:
    [arguments] = commands(path)
    if arguments[0] == "data":
        return
    assert str(path) in arguments
    parse(arguments)


@pytest.mark.parametrize("path", FRAGMENTS, ids=str)
def test_every_fragment_sets_one_component(path: Path) -> None:
    def class_paths(node: object) -> int:
        if isinstance(node, dict):
            return ("class_path" in node) + sum(class_paths(value) for value in node.values())
        return sum(class_paths(value) for value in node) if isinstance(node, list) else 0

    content = yaml.safe_load(path.read_text())
    allowed = {"data": 2, "protocol": 4, "feedback": 3, "baseline": 5, "algorithm": 5, "configs": 5}.get(
        path.parent.name, 1
    )
    assert 1 <= class_paths(content) <= allowed


@pytest.mark.parametrize(("name", "function"), DATA_SETS.items())
def test_every_data_set_has_a_fragment_of_its_name(name: str, function: str) -> None:
    content = yaml.safe_load(Path(f"configs/data/{name}.yaml").read_text())
    assert content["data"]["ratings"]["class_path"] == function
    module, attribute = function.rsplit(".", 1)
    given = set(content["data"]["ratings"]["init_args"])
    assert given <= set(inspect.signature(getattr(importlib.import_module(module), attribute)).parameters)


def test_every_experiment_file_is_tried() -> None:
    tuned = set(Path("experiments/tuned").rglob("*.yaml"))
    assert set(EXPERIMENTS) == set(Path("experiments").rglob("*.yaml")) - tuned - set(
        Path("experiments/results").rglob("*.yaml")
    )
    assert len(EXPERIMENTS) >= 17


def enough(jobs: list[experiment.Job]) -> list[experiment.Job]:
    """Every method in the first scenario, and every scenario with the first method: all layers, all options."""
    return [job for job in jobs if job.scenario == jobs[0].scenario or job.method == jobs[0].method]


@pytest.mark.parametrize("path", EXPERIMENTS, ids=str)
def test_every_run_of_every_experiment_parses(path: Path) -> None:
    """A name that is not there, an argument that does not exist or is missing, a metric that nobody measures."""
    plan = experiment.load(path)
    jobs = experiment.expand(plan, Path("results"), seeds=[0])
    assert len(jobs) == len(plan.methods) * max(1, len(plan.scenarios))
    for job in enough(jobs):
        config = parse(job.command)
        assert config["trainer"]["default_root_dir"] == str(job.folder)
        logger = config["trainer"]["logger"]["init_args"]
        assert (logger["group"], logger["job_type"]) == (path.stem, job.method)
        assert set(plan.metrics) <= set(measured(config))


@pytest.mark.parametrize("path", EXPERIMENTS, ids=str)
def test_every_experiment_is_held_against_what_there_is(path: Path) -> None:
    """Printed figures and expected ranges of metrics in the table; the tuned layers of committed rows."""
    table = Path("experiments/tables") / f"{path.stem}.json"
    rows = json.loads(table.read_text(encoding="utf-8")).get("rows", []) if table.is_file() else []
    ran = {row["method"] for row in rows}
    for part, _ in experiment.parts(experiment.load(path), Path("results")).values():
        of_experiment(part, PUBLISHED)
        for ranges in part.expected.values():
            assert set(ranges) <= {*part.metrics, f"gain in {part.metrics[0]}"}
            assert all(low <= high for low, high in ranges.values())
        for name, method in part.methods.items():
            if part.tuned and name in ran and not method.weights_from and search_space(method.layers):
                assert experiment.tuned_layer(part.tuned, name).is_file(), name


def test_every_committed_table_has_expected_ranges() -> None:
    for table in Path("experiments/tables").glob("*.json"):
        plan = experiment.load(Path("experiments") / f"{table.stem}.yaml")
        assert plan.expected or (all(part.expected for part in plan.scenarios.values()) and plan.scenarios), table


def test_published_figures_are_those_that_an_experiment_is_held_against() -> None:
    plans = [experiment.load(path) for path in EXPERIMENTS]
    alike = [part for plan in plans for part in (plan, *plan.scenarios.values())]
    used = {name for part in alike for figures in part.published.values() for name in figures.values()}
    assert used == set(read(PUBLISHED))


def test_every_experiment_has_trivial_rows() -> None:
    for path in EXPERIMENTS:
        plan = experiment.load(path)
        of_ratings = set() if plan.metrics == ["auc"] else {"item-mean", "item-user-bias", "item-knn", "als"}
        assert {"random", "popularity"} | of_ratings <= set(plan.methods)


@pytest.mark.parametrize("path", SPACES, ids=str)
def test_every_search_space_fits_its_fragment(path: Path) -> None:
    fragment = path.with_name(path.name.replace(".search", ""))
    [arguments] = commands(fragment)
    for pick in (0, -1):
        ends = {name: ends_of(values)[pick] for name, values in search_space([fragment]).items()}
        config = parse([*arguments, *(f"--{name}={value}" for name, value in ends.items())])
        assert nearest(search_space([fragment]), config) == ends


def ends_of(values: Distribution) -> list[Any]:
    return list(values.choices) if isinstance(values, CategoricalDistribution) else [values.low, values.high]


def test_a_study_can_begin_with_a_fragments_own_settings() -> None:
    for path in SPACES:
        fragment = path.with_name(path.name.replace(".search", ""))
        [arguments] = commands(fragment)
        space = search_space([fragment])
        own = nearest(space, parse(arguments))
        assert own is not None, fragment
