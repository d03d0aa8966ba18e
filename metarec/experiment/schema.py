"""What an experiment file may say, and reading one."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from metarec import plain_yaml
from metarec.allowed import OPTION
from metarec.errors import InputError
from metarec.files import read_yaml
from metarec.messages import did_you_mean, of_schema

INTERPOLATION = re.compile(r"\$\{([\w.\[\]-]+|oc\.env:METAREC_DATA(,[^${}]*)?)\}")
"""What an experiment file may ask for: its own keys, and where data lie."""

TAKEN = ("tuning", "sweeps", "figures", "submitit", "wandb")
"""Folders among the runs of an experiment that are no method's and no scenario's."""


@dataclass
class Method:
    """One row of the table.

    Attributes:
        layers: configuration files on top of the experiment's own.
        options: options on top of the experiment's own, such as ``model.algorithm.init_args.inner_lr: 0.1``.
        train: whether there is anything to train; predictors in closed form are only tested.
        weights_from: method whose trained weights are tested instead of training.
        starts_from: method whose trained weights this one's training begins with, which stands above it.
    """

    layers: list[str] = field(default_factory=list)
    options: dict[str, Any] = field(default_factory=dict)
    train: bool = True
    weights_from: str | None = None
    starts_from: str | None = None

    @property
    def source(self) -> str | None:
        """The method that this one has its weights from."""
        return self.weights_from or self.starts_from


@dataclass
class Scenario:
    """One block of the table, in which every method runs with every seed.

    Attributes:
        layers: configuration files between those of the experiment and of the method.
        options: options on top of the experiment's own; a method's come on top of these.
        published: printed figures, as those of the experiment, in this scenario.
        expected: expected ranges, as those of the experiment, in this scenario.
    """

    layers: list[str] = field(default_factory=list)
    options: dict[str, Any] = field(default_factory=dict)
    published: dict[str, dict[str, str]] = field(default_factory=dict)
    expected: dict[str, dict[str, list[float]]] = field(default_factory=dict)


@dataclass
class Budget:
    """What `metarec tune` may spend on each method.

    Attributes:
        minutes: processor time, over all threads and processes.
        trials: most trials that come to their end.
    """

    minutes: float = 6.0
    trials: int = 60


@dataclass
class Experiment:
    """One table.

    Attributes:
        shows: what the table shows, its caption.
        layers: configuration files of every run, relative to the folder that `metarec run` is called in.
        options: options of every run; ``{method}``, ``{seed}`` and, where there are scenarios, ``{scenario}`` stand for
            those of the run.
        metrics: metrics of the table, such as `mae`.
        reference: method that the others are compared with.
        seeds: model seeds.
        methods: rows of the table, in order.
        tuned: folder of the layers that `metarec tune` writes, one a method, in a folder for each scenario; with
            borrowed weights, their method's too.
        tuning: the budget of each method.
        published: printed figures to hold against ours, by method and metric: ids in `published.csv` beside the file.
        expected: lowest and highest mean that `metarec table --check` accepts, by method and column of the table.
        scenarios: blocks of the table, in order; none: one block, and no folder for it.
    """

    shows: str
    layers: list[str]
    reference: str
    metrics: list[str]
    methods: dict[str, Method]
    seeds: list[int] = field(default_factory=lambda: [0])
    options: dict[str, Any] = field(default_factory=dict)
    tuned: str | None = None
    tuning: Budget = field(default_factory=Budget)
    published: dict[str, dict[str, str]] = field(default_factory=dict)
    expected: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    scenarios: dict[str, Scenario] = field(default_factory=dict)


def load(path: Path) -> Experiment:
    """Read an experiment file.

    Raises:
        InputError: it is missing, is no YAML, has a wrong key or type, or names a method that is not there.
    """
    read_yaml(path, "shows, layers, methods")
    for text, line in plain_yaml.scalars(plain_yaml.text_of(path)):
        if "${" in INTERPOLATION.sub("", text):
            raise InputError(
                f"{path}:{line}: {text}: of interpolations there are ${{KEY}} and ${{oc.env:METAREC_DATA,data}}; what "
                "another would find could be a secret, and is written to files; give the value itself"
            )
    try:
        merged = OmegaConf.merge(OmegaConf.structured(Experiment), OmegaConf.load(path))
        experiment = OmegaConf.to_object(merged)
    except yaml.YAMLError as error:  # OmegaConf refuses a key that stands there twice
        raise InputError(f"{path}: not YAML: {' '.join(str(error).split())}") from error
    except (OmegaConfBaseException, ValueError) as error:
        known = [name for part in (Experiment, Method, Budget) for name in part.__dataclass_fields__]
        raise InputError(f"{path}: {of_schema(error, known)}") from error
    assert isinstance(experiment, Experiment)
    _check_names(experiment, path)
    _check_options(experiment, path)
    _check_sources(experiment, path)
    return experiment


def _check_names(experiment: Experiment, path: Path) -> None:
    """Refuse empty lists, and names that nothing stands behind or that cannot be a folder."""
    for key in ("metrics", "seeds", "methods"):
        if not getattr(experiment, key):
            raise InputError(f"{path}: {key} is empty; give at least one")
    alike: list[Experiment | Scenario] = [experiment, *experiment.scenarios.values()]
    held = [name for part in alike for name in (*part.published, *part.expected)]
    sources = [method.source for method in experiment.methods.values() if method.source]
    for name in [experiment.reference, *held, *sources]:
        if name not in experiment.methods:
            raise InputError(f"{path}: {_none_such('method', name, experiment.methods)}")
    for name in [*experiment.scenarios, *experiment.methods]:
        if not re.fullmatch(r"\w[\w.+-]*", name) or name in TAKEN:
            raise InputError(
                f"{path}: '{name}' is a folder's name too; give letters, digits, _ . + or -, none of {TAKEN}"
            )
    on_top: list[Method | Scenario] = [*experiment.methods.values(), *experiment.scenarios.values()]
    for layer in [*experiment.layers, *(layer for part in on_top for layer in part.layers)]:
        if not Path(layer).is_file():
            raise InputError(f"{path}: layer {layer} is not a file; run metarec in the project's folder")


def _check_options(experiment: Experiment, path: Path) -> None:
    """Refuse options that are more than a name, or that the command line alone may give."""
    on_top: list[Method | Scenario] = [*experiment.methods.values(), *experiment.scenarios.values()]
    for name in [*experiment.options, *(name for part in on_top for name in part.options)]:
        if not re.fullmatch(r"[\w.+-]+", name) or f"--{name}" == OPTION:
            raise InputError(f"{path}: options: {name!r} is none that a file may give; give names such as data.order")


def _check_sources(experiment: Experiment, path: Path) -> None:
    """Refuse weights from a method that makes none, or makes them later."""
    methods = list(experiment.methods)
    for name, method in experiment.methods.items():
        source = experiment.methods.get(method.source or "")
        if source and (not source.train or source.weights_from):
            key = "weights_from" if method.weights_from else "starts_from"
            raise InputError(f"{path}: {name}: {key} {method.source}, which trains none; name one that does")
        below = method.starts_from and methods.index(method.starts_from) >= methods.index(name)
        if method.starts_from and (below or method.weights_from or not method.train):
            raise InputError(f"{path}: {name}: starts_from: it must train, and stand below {method.starts_from}")


def _none_such(kind: str, name: str, known: Sequence[str] | dict[str, Any]) -> str:
    """That there is no such method or scenario, with the nearest one there is, else all."""
    return f"no {kind} '{name}'" + (did_you_mean(name, known) or f"; known are {list(known)}")


def only(experiment: Experiment, methods: Sequence[str] = (), scenarios: Sequence[str] = ()) -> Experiment:
    """The experiment with these methods and scenarios alone; none: all.

    Raises:
        InputError: a method or a scenario is unknown.
    """
    for kind, asked, known in (
        ("method", methods, experiment.methods),
        ("scenario", scenarios, experiment.scenarios),
    ):
        for name in asked:
            if name not in known:
                raise InputError(_none_such(kind, name, list(known)))
    return replace(
        experiment,
        methods={name: found for name, found in experiment.methods.items() if name in (methods or experiment.methods)},
        scenarios={name: found for name, found in experiment.scenarios.items() if not scenarios or name in scenarios},
    )


def parts(experiment: Experiment, results: Path) -> dict[str, tuple[Experiment, Path]]:
    """By scenario, an ordinary experiment with its layers and options, and the folder of its runs.

    Args:
        experiment: the experiment; without scenarios it is its own only part, under the empty name.
        results: folder of its runs.
    """
    if not experiment.scenarios:
        return {"": (experiment, results)}
    return {name: (_part(experiment, name), results / name) for name in experiment.scenarios}


def _part(experiment: Experiment, name: str) -> Experiment:
    """The experiment in one scenario."""
    scenario = experiment.scenarios[name]
    return replace(
        experiment,
        layers=[*experiment.layers, *scenario.layers],
        options=_named({**experiment.options, **scenario.options}, name),
        methods={row: replace(own, options=_named(own.options, name)) for row, own in experiment.methods.items()},
        tuned=experiment.tuned and str(Path(experiment.tuned) / name),
        published={**experiment.published, **scenario.published},
        expected={**experiment.expected, **scenario.expected},
        scenarios={},
    )


def _named(value: Any, scenario: str) -> Any:
    """An option, or all of them, with the scenario's name filled in wherever a text stands, in lists too."""
    if isinstance(value, str):
        return value.replace("{scenario}", scenario)
    if isinstance(value, dict):
        return {key: _named(content, scenario) for key, content in value.items()}
    return [_named(content, scenario) for content in value] if isinstance(value, list) else value
