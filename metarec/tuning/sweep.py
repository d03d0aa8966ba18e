"""Sweeps of Weights & Biases from the same search spaces: an agent draws the settings instead of Optuna."""

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from optuna.distributions import CategoricalDistribution, FloatDistribution

from metarec import training
from metarec.errors import InputError
from metarec.experiment import Experiment, Job
from metarec.files import write_text
from metarec.search_space import Distribution, Space
from metarec.tuning.methods import spaces
from metarec.tuning.study import commands, monitored

LOGGER = "metarec.tracking.wandb_logger"
PLACE = "FOLDER-OF-THE-TRIAL"
"""Stands for a trial's folder until its command is quoted for the shell."""


def write_sweeps(
    experiment: Experiment,
    results: Path,
    methods: Sequence[str],
    trials: int,
    into: Path,
    options: Sequence[str] = (),
) -> list[Path]:
    """Write a sweep for each method that there is something to tune of, as `wandb sweep` reads it.

    A trial is a run of its own in ``sweeps/METHOD/ID`` of the results; test users play no part in it.

    Args:
        experiment: the experiment.
        results: folder of its runs.
        methods: only these methods; empty: all.
        trials: most trials of each method, > 0.
        into: folder of the sweeps, ``METHOD.yaml`` each.
        options: further options of every run.

    Returns:
        The files.

    Raises:
        InputError: `trials` is not > 0, or a method's runs are not logged to W&B.
    """
    if trials < 1:
        raise InputError(f"--trials {trials}: give a number > 0")
    texts = {
        into / f"{job.method}.yaml": _text(job, space, results, trials)
        for job, space in spaces(experiment, results, methods, options)
        if space
    }
    for path, text in texts.items():
        write_text(
            path, f"# wandb sweep {path}, then `wandb agent ID` in the project's folder, as often as you like.\n{text}"
        )
    return list(texts)


def _text(job: Job, space: Space, results: Path, trials: int) -> str:
    """One method's sweep."""
    config = training.parse(job.command)
    logger = config["trainer"]["logger"]
    if not isinstance(logger, dict) or logger.get("class_path") != LOGGER:
        raise InputError(f"{job.method}: its runs are not logged to W&B; add configs/logger/wandb.yaml to the layers")
    monitor, mode = monitored(config)
    sweep = {
        "name": job.method,
        "project": logger["init_args"]["project"],
        "method": "bayes",
        "metric": {"name": monitor, "goal": "minimize" if mode == "min" else "maximize"},
        "run_cap": trials,
        "parameters": {name: _parameter(values) for name, values in space.items()},
        "command": ["sh", "-c", _script(job, config, results), job.method, "${args}"],
    }
    return yaml.safe_dump(sweep, sort_keys=False, width=1000)


def _script(job: Job, config: dict[str, Any], results: Path) -> str:
    """The runs of a trial for a shell, whose arguments are the settings that the agent has drawn."""
    online = {"trainer.logger.init_args.offline": "false", "trainer.logger.init_args.name": PLACE}
    lines = [shlex.join(["metarec", *arguments]) + ' "$@"' for arguments in commands(job, config, PLACE, online)]
    folder = f'{shlex.quote(str(results / "sweeps" / job.method))}/"$WANDB_RUN_ID"'
    return " && ".join(lines).replace(f"name={PLACE}", 'name="$WANDB_RUN_ID"').replace(PLACE, folder)


def _parameter(values: Distribution) -> dict[str, Any]:
    """An option's range or choices in W&B's words."""
    if isinstance(values, CategoricalDistribution):
        return {"values": list(values.choices)}
    whole = not isinstance(values, FloatDistribution)
    kind = (
        ("q_log_uniform_values" if whole else "log_uniform_values")
        if values.log
        else ("int_uniform" if whole else "uniform")
    )
    return {"distribution": kind, "min": values.low, "max": values.high, **({"q": 1} if whole and values.log else {})}
