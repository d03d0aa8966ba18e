from pathlib import Path

import pytest

from metarec import cli, experiment
from metarec.errors import InputError


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("reference: mean", "reference: mean\n        published: {maen: {}}", "no method 'maen'; did you mean mean"),
        ("reference: mean", "reference: mean\n        expected: {maen: {}}", "no method 'maen'; did you mean mean"),
        ("seeds: [0, 1]", "scenarios: {a: {expected: {maen: {}}}}", "no method 'maen'; did you mean mean"),
        ("reference: mean", "referense: mean", "unknown key 'referense'; did you mean reference"),
        ("train: false", "trian: false", "unknown key 'trian'; did you mean train"),
        ("reference: mean", "reference: maen", "no method 'maen'; did you mean mean"),
        ("metrics: [mae]", "metrics: []", "metrics is empty"),
        ("seeds: [0, 1]", "seeds: []", "seeds is empty"),
        ("weights_from: plain", "weights_from: mean", "tuned: weights_from mean, which trains none"),
        ("weights_from: plain", "weights_from: plan", "no method 'plan'; did you mean plain"),
        ("weights_from: plain", "starts_from: plain", "tuned: starts_from: it must train, and stand below plain"),
        ("seeds: [0, 1]", "seeds: [zero]", r"seeds\[0\]: Value 'zero'"),
        ("seeds: [0, 1]", "seeds: many", "seeds: this is no list"),
        ("train: false", "train: perhaps", "methods.mean.train: Value 'perhaps'"),
        ("shows: A small table.", "", "shows"),
        ("a.yaml]\n        options", "b.yaml]\n        options", "b.yaml is not a file"),
        ("metrics: [mae]", "metrics: [mae", "not YAML"),
        ("metrics: [mae]", "metrics: [mae]\n        metrics: [rmse]", "the key 'metrics' stands there twice"),
        ("seeds: [0, 1]", "scenarios: {a: {layers: [absent.yaml]}}", "layer absent.yaml is not a file"),
        ("tuned: {", "../../out: {", "'../../out' is a folder's name too; give letters"),
        ("tuned: {", "tuning: {", "'tuning' is a folder's name too"),
        ("seeds: [0, 1]", "scenarios: {a/b: {}}", "'a/b' is a folder's name too"),
        ("seeds: [0, 1]", "scenarios: {a: {option: {}}}", "unknown key 'option'; did you mean options"),
    ],
)
def test_faulty_experiment_files(small: Path, old: str, new: str, message: str) -> None:
    assert old in small.read_text()
    small.write_text(small.read_text().replace(old, new))
    with pytest.raises(InputError, match=message):
        experiment.load(small)


def test_an_experiment_file_that_is_a_list(tmp_path: Path) -> None:
    (tmp_path / "list.yaml").write_text("- 3\n")
    with pytest.raises(InputError, match=r"list\.yaml: holds no keys; begin with one of shows, layers, methods"):
        experiment.load(tmp_path / "list.yaml")


def test_missing_experiment_file(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        cli.main(["run", "experiments/absent.yaml"])
    assert stopped.value.code == 2
    assert capsys.readouterr().err.startswith("metarec: error: experiments/absent.yaml: cannot be read")


def test_only_some(small: Path) -> None:
    small.write_text(small.read_text() + "\n        scenarios: {warm: {}, cold: {}}\n")
    plan = experiment.load(small)
    assert list(experiment.only(plan).methods) == list(plan.methods)
    some = experiment.only(plan, ["mean"], ["cold"])
    assert (list(some.methods), list(some.scenarios)) == (["mean"], ["cold"])
    with pytest.raises(InputError, match="no method 'maen'; did you mean mean"):
        experiment.only(plan, ["maen"])
    with pytest.raises(InputError, match="no scenario 'cod'; did you mean cold"):
        experiment.only(plan, [], ["cod"])


def test_a_scenario_is_an_ordinary_experiment(small: Path, tmp_path: Path) -> None:
    (tmp_path / "cold.yaml").write_text("data: {}\n")
    block = f"""
        tuned: {tmp_path}/tuned
        scenarios:
          warm: {{}}
          cold: {{layers: [{tmp_path}/cold.yaml], options: {{trainer.max_epochs: 5, tag: "of {{scenario}}"}}}}
        """
    small.write_text(small.read_text() + block)
    plan = experiment.load(small)
    parts = experiment.parts(plan, tmp_path / "results")
    assert list(parts) == ["warm", "cold"]
    cold, folder = parts["cold"]
    assert folder == tmp_path / "results" / "cold"
    assert (cold.scenarios, cold.tuned) == ({}, f"{tmp_path}/tuned/cold")
    assert cold.layers == [f"{tmp_path}/a.yaml", f"{tmp_path}/cold.yaml"]
    assert cold.options == {**plan.options, "trainer.max_epochs": 5, "tag": "of cold"}
    assert parts["warm"][0].options == plan.options
    assert experiment.parts(cold, folder) == {"": (cold, folder)}


def test_what_results_are_held_against_makes_no_run_stale(small: Path, tmp_path: Path) -> None:
    before = experiment.expand(experiment.load(small), tmp_path / "results")
    more = "published: {plain: {mae: lee}}\n        expected: {mean: {mae: [0.1, 0.2]}}"
    small.write_text(small.read_text().replace("reference: mean", f"reference: mean\n        {more}"))
    held = experiment.load(small)
    assert held.published == {"plain": {"mae": "lee"}}
    assert held.expected == {"mean": {"mae": [0.1, 0.2]}}
    after = experiment.expand(held, tmp_path / "results")
    assert [(job.digest, job.command) for job in after] == [(job.digest, job.command) for job in before]


def test_a_scenario_is_held_against_figures_of_its_own(small: Path, tmp_path: Path) -> None:
    block = """
        expected: {mean: {mae: [0.1, 0.2]}, plain: {mae: [0.5, 0.6]}}
        scenarios:
          warm: {published: {plain: {mae: lee}}}
          cold: {expected: {mean: {mae: [0.3, 0.4]}}}
        """
    small.write_text(small.read_text() + block)
    parts = experiment.parts(experiment.load(small), tmp_path)
    warm, cold = (parts[name][0] for name in ("warm", "cold"))
    assert (warm.published, cold.published) == ({"plain": {"mae": "lee"}}, {})
    assert warm.expected["mean"] == {"mae": [0.1, 0.2]}
    assert cold.expected == {"mean": {"mae": [0.3, 0.4]}, "plain": {"mae": [0.5, 0.6]}}
