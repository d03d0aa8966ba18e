"""From an experiment to its jobs: plain commands, which folder each writes to, and what each needs from another."""

import hashlib
import json
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from metarec.errors import InputError
from metarec.experiment.schema import Experiment, Method, only, parts
from metarec.messages import did_you_mean


@dataclass(frozen=True)
class Job:
    """One run: a method with a seed, in a scenario where there are some.

    Attributes:
        method: name of the method.
        seed: model seed.
        folder: where the run leaves its files.
        command: arguments of `metarec`.
        layers: configuration files among them.
        needs: checkpoint that another run must have left.
        scenario: name of the scenario; empty: the experiment has none.
    """

    method: str
    seed: int
    folder: Path
    command: list[str]
    layers: list[str]
    needs: Path | None
    scenario: str = ""

    @property
    def digest(self) -> str:
        """SHA-256 of the command, its configuration files and borrowed weights; a run with another digest is stale."""
        content = hashlib.sha256(json.dumps(self.command).encode())
        for path in [*map(Path, self.layers), *([self.needs] if self.needs and self.needs.exists() else [])]:
            content.update(path.read_bytes())
        return content.hexdigest()

    @property
    def done(self) -> bool:
        """Whether this very run has left its results."""
        record = self.folder / "job.json"
        if not record.exists() or not (self.folder / "metrics.json").exists():
            return False
        return bool(json.loads(record.read_text(encoding="utf-8")).get("digest") == self.digest)

    @property
    def name(self) -> str:
        """What it is, for people."""
        return f"{self.scenario + ': ' if self.scenario else ''}{self.method}, seed {self.seed}"

    def __str__(self) -> str:
        """The plain command."""
        return shlex.join(["metarec", *self.command])


def expand(
    experiment: Experiment,
    results: Path,
    seeds: Sequence[int] = (),
    methods: Sequence[str] = (),
    options: Sequence[str] = (),
    scenarios: Sequence[str] = (),
) -> list[Job]:
    """The runs of an experiment, scenario by scenario, each after the run whose weights it needs.

    Args:
        experiment: the experiment.
        results: folder of its runs.
        seeds: only these model seeds; empty: the experiment's own.
        methods: only these methods; empty: all.
        options: further options ``key=value`` for every run.
        scenarios: only these scenarios; empty: all.

    Raises:
        InputError: a method or a scenario is unknown.
    """
    return [
        _job(part, name, method, seed, folder, options, scenario)
        for scenario, (part, folder) in parts(only(experiment, methods, scenarios), results).items()
        for seed in dict.fromkeys(seeds or experiment.seeds)
        for name, method in sorted(part.methods.items(), key=lambda entry: entry[1].weights_from is not None)
    ]


def check(experiment: Experiment, jobs: Sequence[Job]) -> list[dict[str, Any]]:
    """Refuse jobs whose configuration has a wrong name or type, or that leave a metric of the table unmeasured.

    Returns:
        What the configuration of each job says of its data.

    Raises:
        InputError: names the first metric that is not there. A wrong option ends the program as it would in the job.
    """
    from metarec import configured, training  # heavy, and a table is made without them

    data = []
    for job in jobs:
        config = training.parse(job.command)
        known = configured.measured(config)
        for metric in experiment.metrics:
            if metric not in known:
                raise InputError(
                    f"metrics: no metric '{metric}'" + (did_you_mean(metric, known) or f"; known are {known}")
                )
        data.append(config["data"])
    return data


def typical(jobs: Sequence[Job]) -> list[Job]:
    """Jobs that between them have every method of every scenario, and every seed: enough to check the others too."""
    seen: set[tuple[str, str] | int] = set()
    found = []
    for job in jobs:
        marks: set[tuple[str, str] | int] = {(job.scenario, job.method), job.seed}
        if marks - seen:
            found.append(job)
        seen |= marks
    return found


def ran_otherwise(jobs: Sequence[Job]) -> list[str]:
    """Methods of finished jobs whose command, layers or borrowed weights were not those of the job."""
    finished = [job for job in jobs if (job.folder / "metrics.json").exists()]
    return list(dict.fromkeys(job.method for job in finished if not job.done))


def folder_of(results: Path, method: str, seed: int) -> Path:
    """Where a run leaves its files."""
    return results / method / f"seed-{seed}"


def best_of(folder: Path) -> Path:
    """The weights that a run keeps."""
    return folder / "checkpoints" / "best.ckpt"


def tuned_layer(folder: str | Path, method: str) -> Path:
    """Where `metarec tune` writes the settings of a method."""
    return Path(folder) / f"{method}.yaml"


def tuned_layers(experiment: Experiment, name: str, method: Method) -> list[str]:
    """The tuned layers of a method that are there, that of the weights it borrows first."""
    names = [source for source in (method.source, name) if source and experiment.tuned]
    layers = [tuned_layer(experiment.tuned or "", source) for source in names]
    return [str(layer) for layer in layers if layer.is_file()]


def _job(
    experiment: Experiment,
    name: str,
    method: Method,
    seed: int,
    results: Path,
    extra: Sequence[str],
    scenario: str,
) -> Job:
    """The run of one method with one seed, in one scenario."""
    folder = folder_of(results, name, seed)
    layers = [*experiment.layers, *method.layers, *tuned_layers(experiment, name, method)]
    options = {
        "seed_everything": seed,
        "trainer.default_root_dir": str(folder),
        **{key: _filled(value, name, seed) for key, value in {**experiment.options, **method.options}.items()},
    }
    needs = None
    if source := method.source:
        needs = best_of(folder_of(results, source, seed))
        options["ckpt_path" if method.weights_from else "start_from"] = str(needs)
    trains = method.train and not method.weights_from
    options |= {"then_test": "true"} if trains else {"verbose": "false"}
    command = ["fit" if trains else "test"]
    command += [argument for layer in layers for argument in ("-c", layer)]
    command += [f"--{key}={value}" for key, value in options.items()] + [f"--{option}" for option in extra]
    return Job(name, seed, folder, command, layers, needs, scenario)


def _filled(value: Any, method: str, seed: int) -> str:
    """An option's value as the command line takes it, with method and seed filled in."""
    text = value if isinstance(value, str) else json.dumps(value)
    return text.replace("{method}", method).replace("{seed}", str(seed))
