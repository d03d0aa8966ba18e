"""An experiment file: what is compared. Its schema, and its expansion into plain commands."""

import hashlib
import json
import shlex
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from metarec.errors import InputError
from metarec.files import read_yaml, write_json
from metarec.messages import did_you_mean, of_schema


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
class Experiment:
    """One table.

    Attributes:
        shows: what the table shows, its caption.
        layers: configuration files of every run, relative to the folder that `metarec run` is called in.
        options: options of every run; ``{method}`` and ``{seed}`` stand for those of the run.
        metrics: metrics of the table, such as `mae`.
        reference: method that the others are compared with.
        seeds: model seeds.
        methods: rows of the table, in order.
        tuned: folder of the layers that `metarec tune` writes, one a method; with borrowed weights, their method's too.
    """

    shows: str
    layers: list[str]
    reference: str
    metrics: list[str]
    methods: dict[str, Method]
    seeds: list[int] = field(default_factory=lambda: [0])
    options: dict[str, Any] = field(default_factory=dict)
    tuned: str | None = None


@dataclass(frozen=True)
class Job:
    """One run: a method with a seed.

    Attributes:
        method: name of the method.
        seed: model seed.
        folder: where the run leaves its files.
        command: arguments of `metarec`.
        layers: configuration files among them.
        needs: checkpoint that another run must have left.
    """

    method: str
    seed: int
    folder: Path
    command: list[str]
    layers: list[str]
    needs: Path | None

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

    def __str__(self) -> str:
        """The plain command."""
        return shlex.join(["metarec", *self.command])


def load(path: Path) -> Experiment:
    """Read an experiment file.

    Raises:
        InputError: it is missing, is no YAML, has a wrong key or type, or names a method that is not there.
    """
    read_yaml(path, "shows, layers, methods")
    try:
        merged = OmegaConf.merge(OmegaConf.structured(Experiment), OmegaConf.load(path))
        experiment = OmegaConf.to_object(merged)
    except yaml.YAMLError as error:  # OmegaConf refuses a key that stands there twice
        raise InputError(f"{path}: not YAML: {' '.join(str(error).split())}") from error
    except (OmegaConfBaseException, ValueError) as error:
        known = [*Experiment.__dataclass_fields__, *Method.__dataclass_fields__]
        raise InputError(f"{path}: {of_schema(error, known)}") from error
    assert isinstance(experiment, Experiment)
    _check(experiment, path)
    return experiment


def _check(experiment: Experiment, path: Path) -> None:
    """Refuse names that nothing stands behind."""
    for key in ("metrics", "seeds", "methods"):
        if not getattr(experiment, key):
            raise InputError(f"{path}: {key} is empty; give at least one")
    methods = list(experiment.methods)
    for name in [experiment.reference, *(method.source for method in experiment.methods.values() if method.source)]:
        if name not in methods:
            raise InputError(f"{path}: {_no_method(name, methods)}")
    for name, method in experiment.methods.items():
        source = experiment.methods.get(method.source or "")
        if source and (not source.train or source.weights_from):
            key = "weights_from" if method.weights_from else "starts_from"
            raise InputError(f"{path}: {name}: {key} {method.source}, which trains none; name one that does")
        below = method.starts_from and methods.index(method.starts_from) >= methods.index(name)
        if method.starts_from and (below or method.weights_from or not method.train):
            raise InputError(f"{path}: {name}: starts_from: it must train, and stand below {method.starts_from}")
    for layer in [*experiment.layers, *(layer for m in experiment.methods.values() for layer in m.layers)]:
        if not Path(layer).is_file():
            raise InputError(f"{path}: layer {layer} is not a file; run metarec in the project's folder")


def _no_method(name: str, methods: Sequence[str]) -> str:
    """That there is no such method, with the nearest one there is, else all."""
    return f"no method '{name}'" + (did_you_mean(name, methods) or f"; known are {list(methods)}")


def expand(
    experiment: Experiment,
    results: Path,
    seeds: Sequence[int] = (),
    methods: Sequence[str] = (),
    options: Sequence[str] = (),
) -> list[Job]:
    """The runs of an experiment, each after the run whose weights it needs.

    Args:
        experiment: the experiment.
        results: folder of its runs.
        seeds: only these model seeds; empty: the experiment's own.
        methods: only these methods; empty: all.
        options: further options ``key=value`` for every run.

    Raises:
        InputError: a method is unknown.
    """
    chosen = sorted(only(experiment, methods).methods.items(), key=lambda entry: entry[1].weights_from is not None)
    every = [(seed, *entry) for seed in seeds or experiment.seeds for entry in chosen]
    return [_job(experiment, name, method, seed, results, options) for seed, name, method in every]


def only(experiment: Experiment, methods: Sequence[str] = ()) -> Experiment:
    """The experiment with these methods alone; none: all. An unknown one is refused as in `expand`."""
    for name in methods:
        if name not in experiment.methods:
            raise InputError(_no_method(name, list(experiment.methods)))
    chosen = {name: method for name, method in experiment.methods.items() if name in (methods or experiment.methods)}
    return replace(experiment, methods=chosen)


def check(experiment: Experiment, jobs: Sequence[Job]) -> None:
    """Refuse jobs whose configuration has a wrong name or type, or that leave a metric of the table unmeasured.

    Raises:
        InputError: names the first metric that is not there. A wrong option ends the program as it would in the job.
    """
    from metarec import configured, training  # heavy, and a table is made without them

    for job in jobs:
        known = configured.measured(training.parse(job.command))
        for metric in experiment.metrics:
            if metric not in known:
                raise InputError(
                    f"metrics: no metric '{metric}'" + (did_you_mean(metric, known) or f"; known are {known}")
                )


def folder_of(results: Path, method: str, seed: int) -> Path:
    """Where a run leaves its files."""
    return results / method / f"seed-{seed}"


def _job(experiment: Experiment, name: str, method: Method, seed: int, results: Path, extra: Sequence[str]) -> Job:
    """The run of one method with one seed."""
    folder = folder_of(results, name, seed)
    layers = [*experiment.layers, *method.layers, *tuned_layers(experiment, name, method)]
    options = {
        "seed_everything": seed,
        "trainer.default_root_dir": str(folder),
        **{key: _filled(value, name, seed) for key, value in {**experiment.options, **method.options}.items()},
    }
    needs = None
    if source := method.source:
        needs = folder_of(results, source, seed) / "checkpoints" / "best.ckpt"
        options["ckpt_path" if method.weights_from else "start_from"] = str(needs)
    trains = method.train and not method.weights_from
    options |= {"then_test": "true"} if trains else {"verbose": "false"}
    command = ["fit" if trains else "test"]
    command += [argument for layer in layers for argument in ("-c", layer)]
    command += [f"--{key}={value}" for key, value in options.items()] + [f"--{option}" for option in extra]
    return Job(name, seed, folder, command, layers, needs)


def tuned_layer(folder: str | Path, method: str) -> Path:
    """Where `metarec tune` writes the settings of a method."""
    return Path(folder) / f"{method}.yaml"


def tuned_layers(experiment: Experiment, name: str, method: Method) -> list[str]:
    """The tuned layers of a method that are there, that of the weights it borrows first."""
    names = [source for source in (method.source, name) if source and experiment.tuned]
    layers = [tuned_layer(experiment.tuned or "", source) for source in names]
    return [str(layer) for layer in layers if layer.is_file()]


def _filled(value: Any, method: str, seed: int) -> str:
    """An option's value as the command line takes it, with method and seed filled in."""
    if isinstance(value, str):
        return value.replace("{method}", method).replace("{seed}", str(seed))
    return json.dumps(value)


def run(jobs: Sequence[Job]) -> list[Job]:
    """Run the jobs that are not done, one after the other, each in a process of its own.

    Returns:
        The jobs that failed, or whose weights were never made; the others are done.
    """
    failed = []
    for number, job in enumerate(jobs, start=1):
        head = f"[{number}/{len(jobs)}] {job.method}, seed {job.seed}"
        if job.done:
            print(f"{head}: done before", flush=True)
            continue
        print(f"{head}\n  {job}", flush=True)
        if not _run_one(job):
            failed.append(job)
    return failed


def ran_otherwise(jobs: Sequence[Job]) -> list[str]:
    """Methods of finished jobs whose command, layers or borrowed weights were not those of the job."""
    finished = [job for job in jobs if (job.folder / "metrics.json").exists()]
    return list(dict.fromkeys(job.method for job in finished if not job.done))


def _run_one(job: Job) -> bool:
    """Run one job; whether it left its results."""
    if job.needs is not None and not job.needs.exists():
        print(f"  left out: {job.needs} is missing; run the method that makes it first", file=sys.stderr)
        return False
    for name in ("job.json", "metrics.json", "per_task.parquet", "k_shot.json", "k_shot.parquet"):
        (job.folder / name).unlink(missing_ok=True)
    done = subprocess.run([sys.executable, "-m", "metarec", *job.command], check=False).returncode == 0
    if done and (job.folder / "metrics.json").exists():
        write_json(job.folder / "job.json", {"digest": job.digest, "command": str(job)})
        print(f"  {_score(job.folder)}", flush=True)
        return True
    return False


def _score(folder: Path) -> str:
    """The main figures of a finished run, in one line."""
    summary = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    means = summary.get("metrics", {})
    found = {name: means.get(f"test/adapted/{name}") for name in ("mae", "rmse", "auc")}
    return ", ".join(f"{name} {value:.3f}" for name, value in found.items() if value is not None)
