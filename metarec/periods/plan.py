"""From an experiment's methods to a run for each way of keeping up with time and each period."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from metarec.errors import InputError
from metarec.experiment import Experiment, Method, tuned_layers
from metarec.files import read_yaml

SCENARIO = "metarec.data.periods.Period"
OPTION = "data.scenario.init_args"
WAYS = {"frozen": "first", "fine-tuned": "last", "retrained": "all"}
"""By way, what `metarec.data.periods.Period` trains on. In the first period, all ways are one."""


def ways_of(method: Method) -> list[str]:
    """The ways that a method can keep up: what has nothing to train has no weights to go on from."""
    return [way for way in WAYS if method.train or way != "fine-tuned"]


def name_of(method: str, way: str, period: int) -> str:
    """Name of the run, and of its folder: in the first period, one run stands for all ways."""
    return f"{method}-first" if period == 1 else f"{method}-{way}-{period}"


def expanded(experiment: Experiment, periods: int) -> Experiment:
    """An ordinary experiment whose methods are a method, a way and a period each, in an order that can be run.

    Args:
        experiment: the methods to follow; their scenario is a `Period`.
        periods: into how many periods its data are cut; the last one is only tested.

    Raises:
        InputError: a method has its weights from another one, and so no training of its own that could go on.
    """
    methods: dict[str, Method] = {}
    for name, method in experiment.methods.items():
        if method.source:
            raise InputError(f"{name}: weights of another method cannot be kept up by periods; leave it out")
        layers = [*method.layers, *tuned_layers(experiment, name, method)]
        for period in range(1, periods):
            for way in ways_of(method):
                own = name_of(name, way, period)
                methods.setdefault(own, _method(name, dataclasses.replace(method, layers=layers), way, period))
    return dataclasses.replace(experiment, methods=methods, reference=next(iter(methods)), tuned=None)


def _method(name: str, method: Method, way: str, period: int) -> Method:
    """One method in one way, tested on the period after `period`."""
    options = {**method.options, f"{OPTION}.period": period, f"{OPTION}.train": WAYS[way]}
    changed = dataclasses.replace(method, options=options)
    if period == 1 or way == "retrained" or not method.train:
        return changed
    if way == "frozen":
        return dataclasses.replace(changed, weights_from=name_of(name, way, 1))
    return dataclasses.replace(changed, starts_from=name_of(name, way, period - 1))


def require_fixed(options: Sequence[str]) -> None:
    """Refuse options of all runs that would have them cut the data otherwise than their names say.

    Args:
        options: as ``--option`` takes them, ``KEY=VALUE``.
    """
    for option in options:
        if option.startswith(f"{OPTION}."):
            raise InputError(f"--option {option}: the runs of all periods differ in it; set it in the experiment file")


def require_same_rows(experiment: Experiment, config: dict[str, Any], metric: str) -> None:
    """Refuse what would judge the ways of keeping up on different rows, as they know different items.

    Args:
        experiment: the methods to follow.
        config: the configuration of one of the runs.
        metric: the metric of the table; empty: the experiment's first.
    """
    if config["data"]["negatives"]:
        raise InputError(
            "data.negatives: frozen and retrained models would be asked for others; follow ratings or likes"
        )
    for name in [*experiment.metrics, metric]:
        if name.removeprefix("zero_shot/").startswith(("full_", "novelty", "coverage")):
            raise InputError(f"{name}: frozen and retrained models rank other catalogues; give metrics of rated items")


def periods_of(experiment: Experiment, path: Path) -> int:
    """Into how many periods an experiment cuts its data.

    Args:
        experiment: the experiment.
        path: its file, for the error.

    Raises:
        InputError: its scenario is no `Period`, or it has scenarios of its own.
    """
    if experiment.scenarios:
        raise InputError(f"{path}: periods follow methods through one scenario; leave scenarios: out")
    kind, periods = None, None
    for layer in experiment.layers:
        content = read_yaml(Path(layer), "data")
        scenario: dict[str, Any] = (content.get("data") or {}).get("scenario") or {}
        kind = scenario.get("class_path", kind)
        periods = (scenario.get("init_args") or {}).get("periods", periods)
    periods = experiment.options.get(f"{OPTION}.periods", periods)
    if kind != SCENARIO or not isinstance(periods, int) or periods < 2:
        raise InputError(f"{path}: periods need the layer configs/scenario/period.yaml, with 2 periods or more")
    return periods
