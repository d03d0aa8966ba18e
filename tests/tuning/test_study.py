"""Tuning on real data: what is chosen, what is counted, what is taken up again, and what is never looked at."""

import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import optuna
import pandas as pd
import pytest
import yaml
from lightning.pytorch.trainer.states import TrainerFn
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, TrialState

from metarec import cli, experiment, training
from metarec.callbacks import SelectAdaptation
from metarec.errors import DivergedError, InputError
from metarec.experiment import Experiment
from metarec.module import MetaModule
from metarec.search_space import beside, nearest, nested, search_space
from metarec.tuning.methods import tune
from metarec.tuning.watch import SECONDS, SO_FAR, Watch

SPACE = """
model.algorithm.init_args.factors: {low: 2, high: 4}
model.algorithm.init_args.regularisation: {low: 1.0, high: 30.0, log: true}
"""


@pytest.fixture
def plan(tmp_path: Path, movielens: Any) -> Experiment:
    """Least squares and a short pretraining on MovieLens 100K, each with a search space beside its fragment."""
    for name, space in {"als": SPACE, "pretrain": "model.optimizer.init_args.lr: {low: 0.001, high: 0.01}\n"}.items():
        folder = {"als": "baseline", "pretrain": "algorithm"}[name]
        (tmp_path / f"{name}.yaml").write_text(Path(f"configs/{folder}/{name}.yaml").read_text())
        (tmp_path / f"{name}.search.yaml").write_text(space)
    layers = ["base", "data/movielens-100k", "scenario/user_cold"]
    (tmp_path / "plan.yaml").write_text(
        f"""
        shows: A small table.
        layers: [{", ".join(f"configs/{layer}.yaml" for layer in layers)}]
        options: {{trainer.accelerator: cpu, trainer.max_epochs: 1}}
        tuned: {tmp_path}/tuned
        metrics: [mae]
        reference: als
        methods:
          als: {{layers: [{tmp_path}/als.yaml], train: false}}
          pretrain: {{layers: [configs/net/gmf.yaml, {tmp_path}/pretrain.yaml]}}
          finetune: {{layers: [configs/net/gmf.yaml, configs/algorithm/finetune_head.yaml], weights_from: pretrain}}
          random: {{layers: [configs/baseline/random.yaml], train: false}}
        """
    )
    return experiment.load(tmp_path / "plan.yaml")


def layer(plan: Experiment, method: str) -> tuple[str, dict[str, Any]]:
    """A tuned layer's comment and its content."""
    text = experiment.tuned_layer(str(plan.tuned), method).read_text()
    return text, yaml.safe_load(text)["model"]


def test_the_best_settings_of_all_trials_become_a_layer_that_runs_use(
    plan: Experiment, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(MetaModule, "test_step", lambda *_: pytest.fail("a test user was looked at"))
    tune(plan, tmp_path / "results", ["als", "random"], minutes=9, trials=3)
    *lines, last = capsys.readouterr().out.strip().splitlines()
    assert last == "random: nothing to tune"
    found = {line.split(": ", 1)[1]: float(line.split("s] ")[1].split()[0]) for line in lines}
    assert len(found) == 3
    text, content = layer(plan, "als")
    assert f"val/adapted/mae {min(found.values()):.4f}" in text
    assert "in 3 trials, 0 of them pruned" in text
    chosen = content["algorithm"]["init_args"]
    assert f"factors={chosen['factors']}, regularisation={chosen['regularisation']}" in min(
        found, key=found.__getitem__
    )
    [job] = experiment.expand(plan, tmp_path / "results", methods=["als"])
    config = training.parse(job.command)
    assert nearest(search_space([tmp_path / "als.yaml"]), config) == {
        f"model.algorithm.init_args.{name}": value for name, value in chosen.items()
    }


def test_a_trained_method_begins_with_its_own_settings_and_leaves_no_run(
    plan: Experiment, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(MetaModule, "test_step", lambda *_: pytest.fail("a test user was looked at"))
    tune(plan, tmp_path / "results", ["pretrain", "finetune"], minutes=9, trials=2)
    lines = capsys.readouterr().out.strip().splitlines()
    assert lines[0].endswith("complete: width=16, lr=0.01")
    assert lines[-1] == "finetune: nothing to tune"
    assert sorted(path.name for path in (tmp_path / "results").rglob("*")) == [
        ".pretrain",
        "pretrain.journal",
        "study.lock",
        "tuning",
    ]
    text, _ = layer(plan, "pretrain")
    before = lines[0].split("s] ")[1].split()[0]
    assert f"({before} before)" in text
    jobs = experiment.expand(plan, tmp_path / "results", methods=["finetune"])
    assert jobs[0].layers[-1] == f"{tmp_path}/tuned/pretrain.yaml"  # the same net as the weights it borrows


def trials(folder: Path, method: str) -> list[FrozenTrial]:
    """All trials of a method's study."""
    storage = JournalStorage(JournalFileBackend(f"{folder}/results/tuning/{method}.journal"))
    return optuna.load_study(study_name=method, storage=storage).trials


def spent(folder: Path, method: str) -> float:
    """Processor seconds of all its trials."""
    noted = [trial.user_attrs for trial in trials(folder, method)]
    return sum(found.get(SECONDS, found.get(SO_FAR)) for found in noted)


def test_what_was_cut_off_goes_on_where_it_stopped(
    plan: Experiment, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run, calls = training.run, []

    def killed(command: list[str], callbacks: Any) -> None:
        calls.append(command)
        run(command, callbacks)
        if len(calls) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(training, "run", killed)
    with pytest.raises(KeyboardInterrupt):
        tune(plan, tmp_path / "results", ["als"], minutes=9, trials=3)
    assert not (tmp_path / "tuned").exists()
    tune(plan, tmp_path / "results", ["als"], minutes=9, trials=3)
    [cut_off] = [trial for trial in trials(tmp_path, "als") if trial.state == TrialState.FAIL]
    assert f"als [{spent(tmp_path, 'als'):.0f} of" in capsys.readouterr().out.splitlines()[-1]
    assert cut_off.user_attrs[SO_FAR] > 0  # what it took is part of the budget
    options = [[option for option in call if "init_args" in option] for call in calls]
    assert options[1] == options[2]  # the trial that was cut off comes first
    assert len(calls) == 4
    assert "in 3 trials" in layer(plan, "als")[0]
    capsys.readouterr()
    tune(plan, tmp_path / "results", ["als"], minutes=9, trials=3)
    assert len(calls) == 4  # the budget is spent


def test_a_study_of_other_settings_is_refused(plan: Experiment, tmp_path: Path) -> None:
    tune(plan, tmp_path / "results", ["als"], minutes=9, trials=1)
    beside(tmp_path / "als.yaml").write_text(SPACE.replace("4}", "5}"))
    with pytest.raises(InputError, match=r"als.journal: was begun with other settings; remove it to tune als anew"):
        tune(plan, tmp_path / "results", ["als"], minutes=9, trials=1)


@pytest.mark.parametrize(("used", "slept", "minutes", "expected"), [(30.0, 0.0, 1.0, 2), (0.0, 0.02, 1e-4, 5)])
def test_the_budget_is_processor_time(
    plan: Experiment,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    used: float,
    slept: float,
    minutes: float,
    expected: int,
) -> None:
    """Two trials of 30 processor seconds that take no time spend a minute; trials that only sleep spend nothing."""
    clock = [0.0]

    def run(command: list[str], callbacks: Any) -> None:
        clock[0] += used
        time.sleep(slept)
        callbacks[0].values.append(0.8)

    monkeypatch.setattr(time, "process_time", lambda: clock[0])
    monkeypatch.setattr(training, "run", run)
    tune(plan, tmp_path / "results", ["als"], minutes=minutes, trials=5)
    assert len(trials(tmp_path, "als")) == expected
    assert spent(tmp_path, "als") == used * expected
    assert f"in {expected} trials" in layer(plan, "als")[0]


def test_a_method_that_cannot_be_tuned_does_not_stop_the_others(
    plan: Experiment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(command: list[str], callbacks: Any) -> None:
        callbacks[0].values.append(0.8 if command[0] == "fit" else float("nan"))

    monkeypatch.setattr(training, "run", run)
    plan.methods = {name: plan.methods[name] for name in ("als", "pretrain")}
    with pytest.raises(InputError, match=r"^als: no trial gave a finite val/adapted/mae; narrow the search space$"):
        tune(plan, tmp_path / "results", [], minutes=9, trials=1)
    assert "in 1 trials" in layer(plan, "pretrain")[0]
    assert not experiment.tuned_layer(str(plan.tuned), "als").exists()
    beside(tmp_path / "pretrain.yaml").write_text("model.optimizer.init_args.lr: {low: 0.001, high: 0.02}\n")
    with pytest.raises(InputError, match=r"^als: no trial .*; pretrain: .*pretrain.journal: was begun with other"):
        tune(plan, tmp_path / "results", [], minutes=9, trials=1)


def test_two_processes_share_a_study_and_its_budget(plan: Experiment, tmp_path: Path) -> None:
    """While this process runs a trial, another one comes, adds trials, and leaves that one alone."""
    other = f"""
import sys
from pathlib import Path
from metarec import cli, training
training.run = lambda command, callbacks: callbacks[0].values.append(0.7)
cli.main(["tune", "{tmp_path}/plan.yaml", "--results", "{tmp_path}/results", "--methods", "als", "--trials", "2"])
"""
    seen: list[list[TrialState]] = []

    def run(command: list[str], callbacks: Any) -> None:
        if not seen:
            done = subprocess.run([sys.executable, "-c", other], check=True, capture_output=True, text=True)
            assert done.stdout.count("0.7000 complete") == 2
            seen.append([trial.state for trial in trials(tmp_path, "als")])
        callbacks[0].values.append(0.8)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "run", run)
        tune(plan, tmp_path / "results", ["als"], minutes=9, trials=2)
    assert seen == [[TrialState.RUNNING, TrialState.COMPLETE, TrialState.COMPLETE]]
    first, *others = trials(tmp_path, "als")
    assert [trial.value for trial in (first, *others)] == [0.8, 0.7, 0.7]
    assert len({str(trial.params) for trial in (first, *others)}) == 3
    assert len({trial.user_attrs["worker"] for trial in (first, *others)}) == 2
    assert "0.7000 at best" in layer(plan, "als")[0]
    assert "in 3 trials" in layer(plan, "als")[0]


def test_a_trial_of_a_killed_process_is_tried_again(plan: Experiment, tmp_path: Path) -> None:
    killed = f"""
import os, signal
from metarec import cli, training
training.run = lambda command, callbacks: os.kill(os.getpid(), signal.SIGKILL)
cli.main(["tune", "{tmp_path}/plan.yaml", "--results", "{tmp_path}/results", "--methods", "als"])
"""
    assert subprocess.run([sys.executable, "-c", killed], check=False).returncode == -signal.SIGKILL
    assert [trial.state for trial in trials(tmp_path, "als")] == [TrialState.RUNNING]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "run", lambda command, callbacks: callbacks[0].values.append(0.8))
        tune(plan, tmp_path / "results", ["als"], minutes=9, trials=1)
    first, second = trials(tmp_path, "als")
    assert (first.state, second.state) == (TrialState.FAIL, TrialState.COMPLETE)
    assert first.params == second.params


def test_the_list_of_trials_is_kept_with_what_was_chosen(plan: Experiment, tmp_path: Path) -> None:
    values = iter([0.9, 0.7, float("nan")])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "run", lambda command, callbacks: callbacks[0].values.append(next(values)))
        tune(plan, tmp_path / "results", ["als"], minutes=9, trials=3)
    kept = pd.read_csv(tmp_path / "tuned" / "als.trials.csv")
    assert list(kept["state"]) == ["complete", "complete", "fail"]
    assert list(kept["val/adapted/mae"])[:2] == [0.9, 0.7]
    assert kept["val/adapted/mae"].isna().tolist() == [False, False, True]
    chosen = layer(plan, "als")[1]["algorithm"]["init_args"]
    assert {name: kept[f"model.algorithm.init_args.{name}"][1] for name in chosen} == chosen
    assert (kept["processor_seconds"] >= 0).all()


@pytest.mark.parametrize(("high", "told"), [(30.0, True), (3.0, False)])
def test_what_was_before_is_told_of_the_methods_own_settings_only(
    plan: Experiment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, high: float, told: bool
) -> None:
    """Least squares has a regularisation of 5: where the space ends at 3, the first trial is none of its own."""
    beside(tmp_path / "als.yaml").write_text(SPACE.replace("30.0", str(high)).replace("high: 4", "high: 32"))
    monkeypatch.setattr(training, "run", lambda command, callbacks: callbacks[0].values.append(0.8))
    tune(plan, tmp_path / "results", ["als"], minutes=9, trials=1)
    text, content = layer(plan, "als")
    assert ("(0.8000 before)" in text) is told
    assert content["algorithm"]["init_args"]["regularisation"] == min(high, 5.0)


class Trial:
    """Prunes from the third report on."""

    def __init__(self) -> None:
        self.reports: list[tuple[float, int]] = []
        self.spent: dict[str, float] = {}

    def set_user_attr(self, key: str, value: float) -> None:
        self.spent[key] = value

    def report(self, value: float, step: int) -> None:
        self.reports.append((value, step))

    def should_prune(self) -> bool:
        return len(self.reports) > 2


@pytest.mark.parametrize(("seconds", "stops"), [(1e6, [False, False, True]), (-1.0, [True, True, True])])
def test_training_ends_when_the_trial_is_pruned_or_the_time_is_up(seconds: float, stops: list[bool]) -> None:
    trial: Any = Trial()
    watch = Watch(trial, "val/adapted/mae", lambda: seconds)
    found = []
    for value in (0.9, 0.8, 0.7):
        trainer: Any = SimpleNamespace(
            callback_metrics={"val/adapted/mae": value}, state=SimpleNamespace(fn=TrainerFn.FITTING), should_stop=False
        )
        watch.on_validation_end(trainer, None)  # type: ignore[arg-type]
        found.append(trainer.should_stop)
    assert found == stops
    assert trial.reports == [(0.9, 1), (0.8, 2), (0.7, 3)]
    assert watch.pruned


def test_a_method_that_chooses_its_steps_after_training_is_judged_by_what_it_chose(
    plan: Experiment, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error that decides is that of the fine-tuned model, not that of the weights as they were trained."""
    chosen: list[float] = []
    select = SelectAdaptation._select

    def noted(self: SelectAdaptation, *arguments: Any) -> None:
        select(self, *arguments)
        chosen.append(self.chosen["val_mae"])

    monkeypatch.setattr(SelectAdaptation, "_select", noted)
    alone = plan.methods["finetune"]
    alone.weights_from, alone.layers = None, [*alone.layers[:1], f"{tmp_path}/pretrain.yaml", *alone.layers[1:]]
    tune(plan, tmp_path / "results", ["finetune"], minutes=9, trials=1)
    [line] = capsys.readouterr().out.strip().splitlines()
    assert len(chosen) == 1
    assert float(line.split("s] ")[1].split()[0]) == pytest.approx(chosen[0], abs=1e-4)


def test_watching_a_fit_that_does_not_count_reports_nothing_and_keeps_to_the_time() -> None:
    trial: Any = Trial()
    watch = Watch(trial, "val/adapted/mae", lambda: -1.0, in_fit=False)
    for stage in (TrainerFn.FITTING, TrainerFn.VALIDATING):
        trainer: Any = SimpleNamespace(
            callback_metrics={"val/adapted/mae": 0.7}, state=SimpleNamespace(fn=stage), should_stop=False
        )
        watch.on_validation_end(trainer, None)  # type: ignore[arg-type]
        assert trainer.should_stop == (stage == TrainerFn.FITTING)
    assert (trial.reports, watch.values) == ([], [0.7])


def test_values_out_of_range_move_to_its_nearest_end(tmp_path: Path) -> None:
    (tmp_path / "a.search.yaml").write_text("x.y: {low: 1.0, high: 3}\nz: {choices: [a, b]}\n")
    space = search_space([tmp_path / "a.yaml"])
    assert nearest(space, {"x": {"y": 2.5}, "z": "b"}) == {"x.y": 2.5, "z": "b"}
    assert nearest(space, {"x": {"y": 3.5}, "z": "b"}) == {"x.y": 3.0, "z": "b"}
    assert nearest(space, {"x": {"y": 0}, "z": "b"}) == {"x.y": 1.0, "z": "b"}
    assert nearest(space, {"x": {"y": 2.5}, "z": "c"}) is None
    assert nearest(space, {"x": 1, "z": "b"}) is None


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("5", "5 is no range; give {low: .., high: ..}"),
        ("{low: 1}", "is no range"),
        ("{low: 1, high: 2, step: 1}", "is no range"),
        ("{low: 3, high: 2}", "`low` value must be smaller|low.*high"),
        ("{low: 0.0, high: 2.0, log: true}", "low.*log"),
        ("{choices: []}", "choices"),
    ],
)
def test_faulty_search_spaces(tmp_path: Path, entry: str, message: str) -> None:
    (tmp_path / "a.search.yaml").write_text(f"model.x: {entry}\n")
    with pytest.raises(InputError, match=message) as error:
        search_space([tmp_path / "a.yaml"])
    assert "\n" not in str(error.value)
    assert "a.search.yaml: model.x" in str(error.value)


def test_spaces_add_up_and_later_ones_replace(tmp_path: Path) -> None:
    (tmp_path / "a.search.yaml").write_text("x.y: {low: 1, high: 2}\nz: {choices: [a, b]}\n")
    (tmp_path / "b.search.yaml").write_text("x.y: {low: 1.0, high: 3}\n")
    space = search_space([tmp_path / "a.yaml", tmp_path / "none.yaml", tmp_path / "b.yaml"])
    assert space["x.y"] == optuna.distributions.FloatDistribution(1.0, 3.0)
    assert nested({"x.y": 1, "x.w": 2, "z": "b"}) == {"x": {"y": 1, "w": 2}, "z": "b"}


def test_command_line(plan: Experiment, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    common = ["tune", str(tmp_path / "plan.yaml"), "--results", str(tmp_path / "results")]
    cli.main([*common, "--methods", "als", "--trials", "1"])
    assert capsys.readouterr().out.startswith("als [")
    for wrong, message in {
        "--minutes=0": "--minutes 0.0, --trials 60: give numbers > 0",
        "--trials=x": "--trials",
    }.items():
        with pytest.raises(SystemExit) as stopped:
            cli.main([*common, wrong])
        assert stopped.value.code == 2
        assert message in capsys.readouterr().err


def test_an_experiment_without_a_folder_for_layers_is_refused(plan: Experiment, tmp_path: Path) -> None:
    plan.tuned = None
    with pytest.raises(InputError, match="names no folder `tuned` for what is chosen; add one to it, or give --into"):
        tune(plan, tmp_path, [], minutes=1, trials=1)
    tune(plan, tmp_path / "results", ["als"], minutes=1, trials=1, into=tmp_path / "elsewhere")
    assert (tmp_path / "elsewhere" / "als.yaml").is_file()


@pytest.mark.parametrize("value", [float("nan"), 0.1])
def test_a_trial_that_diverges_fails(
    plan: Experiment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: float
) -> None:
    def nothing(command: list[str], callbacks: Any) -> None:
        callbacks[0].values.append(value)
        if value == value:
            raise DivergedError("after a good start")

    monkeypatch.setattr(training, "run", nothing)
    with pytest.raises(InputError, match="als: no trial gave a finite val/adapted/mae; narrow the search space"):
        tune(plan, tmp_path / "results", ["als"], minutes=9, trials=2)
    study = optuna.load_study(
        study_name="als",
        storage=optuna.storages.JournalStorage(
            optuna.storages.journal.JournalFileBackend(str(tmp_path / "results/tuning/als.journal"))
        ),
    )
    assert [trial.state for trial in study.trials] == [TrialState.FAIL] * 2
