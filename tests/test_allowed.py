"""A configuration names classes of metarec, torch, lightning and torchmetrics; other code is not even imported."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from metarec import allowed, cli, configured, messages, methods, training
from metarec.errors import InputError
from metarec.experiment.checking import to_keep
from tests.small import layers, refused

pytestmark = pytest.mark.fault("class-path")
OWN = '''
from pathlib import Path
Path(__file__).with_name("imported").touch()
from metarec.data.sets.csv_file import csv_ratings
from metarec.data.ratings import Ratings
from metarec.nets.ncf import NeuMF

class Net(NeuMF):
    """A net of one's own."""

def read(path: str) -> Ratings:
    """Ratings of one's own."""
    return csv_ratings(path, scale=(1, 5))
'''
CALLBACK = "{class_path: lightning.pytorch.callbacks.LambdaCallback, init_args: {on_fit_start: %s}}"
LOGGER = "{class_path: lightning.pytorch.loggers.CSVLogger, init_args: {save_dir: .}, dict_kwargs: {a: %s}}"


@pytest.fixture(autouse=True)
def imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A file that is there once the module `owncode` has been imported."""
    folder = tmp_path / "path"
    folder.mkdir()
    (folder / "owncode.py").write_text(OWN)
    monkeypatch.syspath_prepend(folder)
    yield folder / "imported"
    sys.modules.pop("owncode", None)
    allowed.allow()


def refusal(path: str) -> str:
    return f"{path} is no component of the packages that a configuration may name (metarec, torch, lightning, torch"


@pytest.mark.parametrize(
    "option",
    [
        "--model.net=owncode.Net",
        "--model.net.class_path=owncode.Net",
        "--model.net={class_path: owncode.Net}",
        '--model.net={"class_path": "owncode.Net", "init_args": {"gmf": 3}}',
        "--data.ratings=owncode.read",
        "--data.ratings.class_path=owncode.read",
        "--data.scenario=owncode.Net",
        "--trainer.logger=owncode.Net",
        "--trainer.logger=[{class_path: owncode.Net}]",
        f"--trainer.logger={LOGGER % '{class_path: owncode.Net}'}",
        "--trainer.callbacks+=owncode.Net",
        "--trainer.callbacks=[{class_path: owncode.Net}]",
        f"--trainer.callbacks=[{CALLBACK % 'owncode.read'}]",
        f"--trainer.callbacks=[{CALLBACK % '{class_path: owncode.read}'}]",
        "--trainer.strategy.class_path=owncode.Net",
        "--trainer.plugins+=owncode.Net",
        "--model.optimizer=owncode.Net",
        "--model.optimizer.class_path=owncode.Net",
        "--model.lr_scheduler={class_path: owncode.Net}",
        "--model.algorithm.init_args.update_rule=owncode.Net",
        "--model.algorithm={class_path: metarec.algorithms.gradient.maml.MAML, init_args: {update_rule: owncode.Net}}",
        "--model.net.help=owncode.Net",
        "--model.net.dict_kwargs={a: {class_path: owncode.Net}}",
    ],
)
def test_other_code_is_refused_before_it_is_imported(
    option: str, trained: Path, imported: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = refused(capsys, ["fit", *layers(trained), option])
    assert refusal("owncode.read" if "read" in option else "owncode.Net") in line
    assert line.endswith("if you trust it, add --allow-code=owncode to the command line")
    assert not imported.exists()


@pytest.mark.parametrize("option", ["--optimizer=owncode.Net", "--trainer.strategy=owncode.Net", "--data=owncode.Net"])
def test_what_names_no_component_imports_nothing_either(
    option: str, trained: Path, imported: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    refused(capsys, ["fit", *layers(trained), option, f"--trainer.default_root_dir={tmp_path / 'run'}"])
    messages._first_unknown(["owncode", "Nets"])  # what a hint would look at
    assert not imported.exists()


@pytest.mark.parametrize("command", ["fit", "test", "validate", "predict", "stream", "tasks"])
def test_a_layer_names_no_other_code_for_any_command(
    command: str, trained: Path, tmp_path: Path, imported: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    layer = tmp_path / "layer.yaml"
    layer.write_text("data: {ratings: {class_path: owncode.read, init_args: {path: ratings.csv}}}")
    line = refused(capsys, [command, *layers(trained)[:5], f"-c={layer}"])
    assert refusal("owncode.read") in line
    for key in ("allow_code", "allow-code"):
        layer.write_text(f"{key}: owncode")
        assert key in refused(capsys, [command, *layers(trained)[:5], "--data.ratings.init_args.path=x", f"-c={layer}"])
    assert not imported.exists()


FUNCTIONS = ["os.system", "torch.os.system", "torch.hub.load", "torch.load", "torch.utils.cpp_extension.load"]
FUNCTIONS += ["torch.sys.exit", "subprocess.Popen", "torch.jit.load", "torch.package.PackageImporter", "builtins.eval"]
FUNCTIONS += [
    "metarec.cli.main",
    "metarec.training.run",
    "metarec.files.write_text",
    "metarec.methods.importlib.reload",
]
FUNCTIONS += ["lightning.pytorch.utilities.rank_zero_only", "lightning.pytorch.cli.LightningCLI", "torch.compile"]


@pytest.mark.parametrize("path", FUNCTIONS)
def test_code_that_is_no_component_is_refused_within_the_packages_too(
    path: str, trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for option in (f"--model.net={path}", f"--trainer.callbacks=[{CALLBACK % path}]"):
        line = refused(capsys, ["fit", *layers(trained), option])
        assert "is no component of the packages" in line or f"'{path}' is not a known class_path" in line
    with pytest.raises(InputError, match="is no component of the packages"):
        allowed.require_components({"anything": [{"class_path": path}]})


@pytest.mark.usefixtures("control")
def test_what_configurations_name_is_a_component() -> None:
    classes = ["torch.optim.AdamW", "lightning.pytorch.callbacks.EarlyStopping", "metarec.nets.ncf.NeuMF"]
    functions = ["metarec.data.sources.movielens_100k", "metarec.data.sources.only", "metarec.tracking.wandb_logger"]
    more = ["lightning.pytorch.cli.ReduceLROnPlateau", "lightning.pytorch.loggers.CSVLogger"]
    allowed.require_components([{"class_path": path} for path in (*classes, *functions, *more)])
    assert allowed.outside({"a": [{"class_path": "torch.x"}, {"b": {"class_path": "torchy.X"}}]}) == "torchy.X"
    assert not allowed.may_import("torch.hub.load")
    assert not allowed.may_import("metarecs.X")


@pytest.mark.parametrize("option", ["--allow-code=owncode", "--allow-code", "--allow-code=other,owncode"])
@pytest.mark.usefixtures("control")
def test_the_command_line_allows_code_and_for_that_call_alone(
    option: str, trained: Path, imported: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = ["--model.net.class_path=owncode.Net", "--data.ratings={class_path: owncode.read, init_args: {path: x}}"]
    config = training.parse(["fit", *layers(trained)[:5], option, *own])
    assert config["model"]["net"]["class_path"] == "owncode.Net"
    assert config["data"]["ratings"]["class_path"] == "owncode.read"
    imported.unlink()
    sys.modules.pop("owncode")
    assert refusal("owncode.Net") in refused(capsys, ["fit", *layers(trained), "--model.net=owncode.Net"])
    assert not imported.exists()


@pytest.mark.usefixtures("control")
def test_other_code_trains_where_it_is_allowed(trained: Path, tmp_path: Path) -> None:
    options = [f"--trainer.default_root_dir={tmp_path / 'run'}", "--trainer.max_epochs=1", "--allow-code=owncode"]
    own = ["--model.net.class_path=owncode.Net", "--then_test=true"]
    cli.main(["fit", *layers(trained), *own, *options])
    assert (tmp_path / "run" / "metrics.json").exists()


def test_names_that_are_none_are_refused(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("own-code", "", "a.b.", "jsonargparse", "*"):
        line = refused(capsys, ["fit", *layers(trained), f"--allow-code={name}"])
        assert f"--allow-code={name}: no package that can be allowed" in line
    assert "cannot be read" in refused(capsys, ["fit", "-c", "--allow-code"])  # there it is a file's name


def experiment(folder: Path, trained: Path, options: dict[str, object], layer: str = "model: {}") -> Path:
    """An experiment file on the small fit, with options and a layer more."""
    more, path = folder / "more.yaml", folder / "experiment.yaml"
    more.write_text(layer)
    given = [word.lstrip("-").split("=", 1) for word in layers(trained)]
    own = {name: value for name, value in given if name != "c"}
    content = {
        "shows": "A test.",
        "layers": [*(value for name, value in given if name == "c"), str(more)],
        "options": {**own, **options},
        "reference": "maml",
        "metrics": ["mae"],
        "methods": {"maml": {}},
        "tuned": str(folder / "tuned"),
    }
    path.write_text(yaml.safe_dump(content))
    return path


OTHER = ({"model.net.class_path": "owncode.Net"}, {"model.net": {"class_path": "owncode.Net"}}, {})


@pytest.mark.parametrize("command", [["run", "--dry-run"], ["tune"]], ids=" ".join)
def test_experiments_name_no_other_code(
    command: list[str], trained: Path, tmp_path: Path, imported: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for options in OTHER:
        path = experiment(tmp_path, trained, options, "model: {net: {class_path: owncode.Net}}")
        assert refusal("owncode.Net") in refused(capsys, [command[0], str(path), *command[1:]])
    assert not imported.exists()


@pytest.mark.slow
def test_runs_of_experiments_name_no_other_code(
    trained: Path, tmp_path: Path, imported: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = experiment(tmp_path, trained, OTHER[0])
    with pytest.raises(SystemExit) as stopped:
        cli.main(["run", str(path)])
    assert stopped.value.code == 2
    assert refusal("owncode.Net") in capfd.readouterr().err
    assert not imported.exists()
    cli.main(["run", str(path), "--allow-code=owncode"])
    assert (tmp_path / "results" / "experiment" / "maml" / "seed-0" / "metrics.json").exists()


@pytest.mark.parametrize("name", ["allow-code", "allow-code=owncode", "a b", "allow-code\n"])
def test_no_experiment_allows_code(
    name: str, trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = experiment(tmp_path, trained, {name: "owncode"})
    assert "is none that a file may give" in refused(capsys, ["run", str(path), "--dry-run"])


@pytest.mark.usefixtures("control")
def test_the_option_is_handed_on_to_runs(trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = experiment(tmp_path, trained, {"model.net.class_path": "owncode.Net"})
    cli.main(["run", str(path), "--dry-run", "--allow-code=owncode"])
    assert "--allow-code=owncode" in capsys.readouterr().out
    cli.main(["run", str(path), "--dry-run", "--allow-code"])
    assert " --allow-code " in capsys.readouterr().out


def test_fragments_and_kept_data_name_no_other_code(tmp_path: Path, imported: Path) -> None:
    fragment = tmp_path / "net" / "own.yaml"
    fragment.parent.mkdir()
    fragment.write_text("# Own (me).\nmodel: {net: {class_path: owncode.Net}}\n")
    with pytest.raises(InputError, match=r"own\.yaml: owncode\.Net is of no package that is imported for a list"):
        methods.methods(tmp_path)
    data = {"ratings": {"class_path": "owncode.read", "init_args": {"path": "x"}}, "scenario": {}, "tasks": "users"}
    with pytest.raises(InputError, match=r"owncode\.read is no component"):
        configured.keep(data)
    assert to_keep([data]) == []
    assert not imported.exists()
