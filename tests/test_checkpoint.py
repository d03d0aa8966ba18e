"""A checkpoint is read as weights and plain values, or refused in one line with its path, and does nothing."""

import io
import os
import pickle
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from metarec import checkpoint, cli
from metarec.errors import InputError
from metarec.module import MetaModule
from metarec.optim import decay_groups
from metarec.provenance import seen
from metarec.training_state import require_states, resumable
from tests.small import layers, refused

pytestmark = pytest.mark.fault("checkpoint")
NAME = "algorithm.net.decoder.user_prior"
Content = dict[str, Any]


@pytest.fixture
def last(trained: Path) -> Content:
    """What the last checkpoint of the small fit holds."""
    return checkpoint.read(trained / "run" / "checkpoints" / "last.ckpt")


LONGER = ["--trainer.max_epochs=3", "--allow_changes=true"]
"""The same training, and an epoch more."""


def command(name: str, trained: Path, path: Path | str, folder: Path, *options: str) -> list[str]:
    where = f"--trainer.default_root_dir={folder / 'run'}"
    return [name, *layers(trained), where, f"--ckpt_path={path}", *options]


class Payload:
    """What must not happen: a file is made."""

    def __init__(self, made: Path) -> None:
        self.made = made

    def __reduce__(self) -> tuple:
        return os.system, (f"touch {self.made}",)


def evil_zip(path: Path, payload: Payload) -> None:
    """A zip as torch writes it, whose pickle is another one."""
    torch.save({"state_dict": {"a": torch.zeros(2)}}, path)
    with zipfile.ZipFile(path) as archive:
        held = {entry.filename: archive.read(entry) for entry in archive.infolist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, value in held.items():
            archive.writestr(name, pickle.dumps(payload) if name.endswith("data.pkl") else value)


@pytest.mark.usefixtures("control")
def test_what_metarec_leaves_is_read(trained: Path, last: Content, tmp_path: Path) -> None:
    assert last["metarec"]["format"] == checkpoint.FORMAT == 1
    assert resumable(last, "last.ckpt") is last
    best = trained / "run" / "checkpoints" / "best.ckpt"
    module = MetaModule.load_from_checkpoint(best)
    saved = checkpoint.read(str(best))["state_dict"]
    assert all(torch.equal(value, module.state_dict()[name]) for name, value in saved.items())
    cli.main(command("test", trained, best, tmp_path, "--verbose=false"))
    cli.main(command("fit", trained, best.with_name("last.ckpt"), tmp_path, *LONGER))
    assert checkpoint.read(tmp_path / "run" / "checkpoints" / "last.ckpt")["epoch"] == 3


@pytest.mark.parametrize("kind", ["pickle", "legacy", "zip", "in a zip of torch", "in an entry"])
def test_a_payload_does_not_run(kind: str, last: Content, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, payload = tmp_path / "bad.ckpt", Payload(tmp_path / "ran")
    if kind == "pickle":
        path.write_bytes(pickle.dumps(payload))
    elif kind == "legacy":
        torch.save(payload, path, _use_new_zipfile_serialization=False)
    elif kind == "zip":
        torch.save(payload, path)
    elif kind == "in a zip of torch":
        evil_zip(path, payload)
    else:
        torch.save({**last, "callbacks": payload}, path)
    with pytest.raises(InputError, match=f"^{path}: no checkpoint that can be loaded safely; give a .ckpt file"):
        checkpoint.read(path)
    with pytest.raises(InputError, match=f"^{path}: no checkpoint"):
        MetaModule.load_from_checkpoint(path)
    assert [file.name for file in tmp_path.iterdir()] == ["bad.ckpt"]


def test_a_byte_that_is_not_what_was_written_is_noticed(trained: Path, tmp_path: Path) -> None:
    path, spoilt = trained / "run" / "checkpoints" / "last.ckpt", tmp_path / "spoilt.ckpt"
    with zipfile.ZipFile(path) as archive:
        largest = max(archive.infolist(), key=lambda entry: entry.file_size)
        place = path.read_bytes().index(archive.read(largest)) + largest.file_size // 2
    content = bytearray(path.read_bytes())
    content[place] ^= 0x10
    spoilt.write_bytes(content)
    with pytest.raises(InputError, match=f"^{spoilt}: no checkpoint that can be loaded safely"):
        checkpoint.read(spoilt)


@pytest.mark.parametrize("name", ["test", "validate", "predict", "stream", "fit"])
def test_every_command_refuses_a_payload_and_leaves_nothing(
    name: str, trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    evil_zip(tmp_path / "bad.ckpt", Payload(tmp_path / "ran"))
    line = refused(capsys, command(name, trained, tmp_path / "bad.ckpt", tmp_path))
    assert f"{tmp_path / 'bad.ckpt'}: no checkpoint that can be loaded safely" in line
    assert [file.name for file in tmp_path.iterdir()] == ["bad.ckpt"]


def test_weights_to_start_from_are_read_in_the_same_way(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    evil_zip(tmp_path / "bad.ckpt", Payload(tmp_path / "ran"))
    where = f"--trainer.default_root_dir={tmp_path / 'run'}"
    line = refused(capsys, ["fit", *layers(trained), where, f"--start_from={tmp_path / 'bad.ckpt'}"])
    assert "bad.ckpt: no checkpoint that can be loaded safely" in line
    assert "the name of a file is empty" in refused(capsys, ["fit", *layers(trained), where, "--start_from="])
    assert [file.name for file in tmp_path.iterdir()] == ["bad.ckpt"]


def test_a_file_that_is_cut_off_is_refused_at_every_length(
    trained: Path, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    whole = (trained / "run" / "checkpoints" / "best.ckpt").read_bytes()
    lengths = sorted({*range(0, len(whole), len(whole) // 150), 1, 2, 4, 30, *range(len(whole) - 40, len(whole))})
    path = tmp_path / "cut.ckpt"
    for length in lengths:
        path.write_bytes(whole[:length])
        with pytest.raises(InputError, match=f"^{path}: (is empty|no checkpoint that can be loaded safely); give"):
            checkpoint.read(path)
    record_property("injected", len(lengths))


def test_bytes_that_are_changed_are_refused_or_read_whole(
    trained: Path, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    """Of a byte in the pickle or the directory of the archive, whatever it becomes; nothing but an `InputError`."""
    whole = (trained / "run" / "checkpoints" / "best.ckpt").read_bytes()
    path, times, refusals = tmp_path / "odd.ckpt", 300, []
    random = Random(0)
    for _ in range(times):
        place = random.choice([random.randrange(20_000), random.randrange(len(whole) - 8_000, len(whole))])
        path.write_bytes(whole[:place] + bytes([random.randrange(256)]) + whole[place + 1 :])
        try:
            checkpoint.read(path)
        except InputError as error:
            refusals.append(str(error))
    assert len(refusals) > 50
    assert all(line.startswith(f"{path}: ") and "\n" not in line for line in refusals)
    record_property("injected", times)


def test_what_is_no_regular_file_is_refused_and_does_not_hang(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pipe, folder, empty = tmp_path / "pipe", tmp_path / "folder", tmp_path / "empty.ckpt"
    os.mkfifo(pipe)
    folder.mkdir()
    empty.touch()
    (tmp_path / "link.ckpt").symlink_to(tmp_path / "nowhere")
    said = {
        pipe: "cannot be read (it is no regular file)",
        folder: "cannot be read (it is a folder)",
        empty: "is empty",
        tmp_path / "absent.ckpt": "cannot be read (No such file or directory)",
        tmp_path / "link.ckpt": "cannot be read (No such file or directory)",
        "/dev/zero": "cannot be read (it is no regular file)",
        "/proc/self/cmdline": "is empty",
        "x" * 5000: "cannot be read (File name too long)",
    }
    for path, expected in said.items():
        with pytest.raises(InputError) as error:
            checkpoint.read(path)
        assert str(error.value) == f"{path}: {expected}; give a .ckpt file of metarec"
    for path in (pipe, "/dev/zero"):
        assert "it is no regular file" in refused(capsys, command("test", trained, path, tmp_path))
    assert "the name of a file is empty; give a .ckpt" in refused(capsys, command("test", trained, "", tmp_path))


def test_an_address_is_refused(trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    web = "https://example.org/a.ckpt"
    expected = "is an address; download it, and give a .ckpt file of metarec"
    assert f"{web}: {expected}" in refused(capsys, command("test", trained, web, tmp_path))
    for address in (web, "http://x/a", "s3://bucket/a.ckpt", "hf:user/model", "file:///tmp/a", "memory://a"):
        for read in (checkpoint.read, MetaModule.load_from_checkpoint):
            with pytest.raises(InputError, match=f"^{address}: {expected}$"):
                read(address)
    assert not list(tmp_path.iterdir())


def test_a_bomb_is_refused_unopened(last: Content, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.save({**last, "more": torch.zeros(1_000_000)}, tmp_path / "plain.ckpt")
    checkpoint.read(tmp_path / "plain.ckpt")
    bomb = tmp_path / "bomb.ckpt"
    with zipfile.ZipFile(tmp_path / "plain.ckpt") as plain, zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as packed:
        for entry in plain.infolist():
            packed.writestr(entry.filename, plain.read(entry))
    assert bomb.stat().st_size < 1_000_000
    monkeypatch.setattr(torch, "load", lambda *_, **__: pytest.fail("it was opened"))
    with pytest.raises(InputError, match="no checkpoint that can be loaded safely"):
        checkpoint.read(bomb)
    names = io.BytesIO()
    with zipfile.ZipFile(names, "w") as archive:
        archive.writestr("a", "1")
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr("a", "2")
    (tmp_path / "twice.ckpt").write_bytes(names.getvalue())
    with pytest.raises(InputError, match="no checkpoint"):
        checkpoint.read(tmp_path / "twice.ckpt")


def _without(*path: str) -> Callable[[Content], None]:
    """Takes away what stands at a path of keys."""
    return lambda content: _node(content, path[:-1]).__delitem__(path[-1])


def _set(*path_and_value: Any) -> Callable[[Content], None]:
    """Puts a value at a path of keys."""
    *path, key, value = path_and_value
    return lambda content: _node(content, path).__setitem__(key, value)


def _node(content: Any, path: Sequence[Any]) -> Any:
    for name in path:
        content = content[name]
    return content


FIT = ("loops", "fit_loop")
HUGE = torch.zeros(1).expand(10**12)
FORGED = {
    "no note": (_without("metarec"), "no checkpoint of metarec"),
    "a note of another kind": (_set("metarec", "x"), "no checkpoint of metarec"),
    "no format": (_set("metarec", "format", None), "of format None, and this metarec reads 1; train again"),
    "another format": (_set("metarec", "format", 2), "of format 2, and this metarec reads 1"),
    "true as format": (_set("metarec", "format", True), "of format True"),
    "digest of the data": (_set("metarec", "data", 3), "its digest of the data is none"),
    "digest of the split": (_set("metarec", "split", None), "its digest of the split is none"),
    "last time": (_set("metarec", "until", "now"), "its last time is no number"),
    "epoch": (_set("epoch", -1), "its epoch is no whole number >= 0"),
    "half an epoch": (_set("epoch", 0.5), "its epoch is no whole number"),
    "steps": (_set("global_step", True), "its global_step is no whole number"),
    "version": (_set("pytorch-lightning_version", "0.9"), "its version of Lightning is none"),
    "no version": (_without("pytorch-lightning_version"), "its version of Lightning is none"),
    "instantiator": (
        _set("hyper_parameters", "_instantiator", "os.system"),
        "its _instantiator is none of Lightning's",
    ),
    "class path": (_set("hyper_parameters", "_class_path", "os.system"), "name what is to be made"),
    "class of a net": (
        _set("hyper_parameters", "net", "class_path", "evil.Net"),
        "name code: evil.Net is no component of the packages",
    ),
    "name of arguments": (_set("hparams_name", "schema"), "name what is to be made"),
    "type of arguments": (_set("hparams_type", "os.system"), "holds hparams_type, by which it could have code run"),
    "old arguments": (_set("module_arguments", {"net": "x"}), "holds module_arguments"),
    "no arguments": (_set("hyper_parameters", 3), "name what is to be made"),
    "no weights": (_without("state_dict"), "its weights are of kind NoneType"),
    "a list of weights": (_set("state_dict", [torch.zeros(1)]), "its weights are of kind list"),
    "a text as weights": (_set("state_dict", NAME, "x"), f"its weights '{NAME}' are no tensor"),
    "a number as name": (_set("state_dict", 3, torch.zeros(1)), "its weights 3 are no tensor"),
    "not finite": (_set("state_dict", NAME, torch.tensor([1.0, float("nan")])), f"its weights {NAME} are not finite"),
    "infinite": (_set("state_dict", NAME, torch.tensor([float("inf")])), f"its weights {NAME} are not finite"),
    "sparse": (_set("state_dict", NAME, torch.eye(12).to_sparse()), f"its weights {NAME} are of a strange kind"),
    "meta": (_set("state_dict", NAME, torch.zeros(12, device="meta")), f"its weights {NAME} are of a strange kind"),
    "complex": (_set("state_dict", NAME, torch.zeros(12) * 1j), f"its weights {NAME} are of a strange kind"),
    "larger than stored": (_set("state_dict", NAME, HUGE), f"its weights {NAME} are larger than what is stored"),
}


@pytest.mark.filterwarnings("ignore:Sparse")
@pytest.mark.parametrize("kind", FORGED)
def test_forged_entries_are_refused(kind: str, last: Content, tmp_path: Path) -> None:
    change, expected = FORGED[kind]
    change(last)
    path = tmp_path / "forged.ckpt"
    torch.save(last, path)
    with pytest.raises(InputError) as error:
        checkpoint.read(path)
    assert str(error.value).startswith(f"{path}: ")
    assert expected in str(error.value)
    assert str(error.value).endswith(("as metarec left it, or train again", "metarec that wrote it", "a run folder"))
    with pytest.raises(InputError, match=f"^{path}: "):
        MetaModule.load_from_checkpoint(path)


SHAPES = {
    "wrong shape": (_set("state_dict", NAME, torch.zeros(5)), f"({NAME} is (5,), in the model (12,))"),
    "missing": (_without("state_dict", NAME), f"({NAME} is missing)"),
    "more": (_set("state_dict", "algorithm.more", torch.zeros(5)), "(it has no algorithm.more, 1 in all)"),
}


@pytest.mark.parametrize("kind", SHAPES)
@pytest.mark.parametrize("name", ["test", "fit"])
def test_weights_that_do_not_fit_are_refused(
    name: str, kind: str, last: Content, trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    change, expected = SHAPES[kind]
    change(last)
    path = tmp_path / "odd.ckpt"
    torch.save(last, path)
    line = refused(capsys, command(name, trained, path, tmp_path))
    assert f"{path}: does not fit the model {expected}; use the configuration it was trained with" in line
    begun = {"config.yaml"} if kind == "more" else set()  # buffers are known once there are data
    assert {file.name for file in tmp_path.rglob("*") if file.is_file()} <= {"odd.ckpt"} | begun
    with pytest.raises(InputError) as error:
        MetaModule.load_from_checkpoint(path)
    assert str(error.value).startswith(f"{path}: does not fit the model {expected}")


def test_arguments_that_make_no_module_are_one_line(last: Content, tmp_path: Path) -> None:
    path = tmp_path / "odd.ckpt"
    for name, value in {"ndcg_at": "many", "optimizer": 3, "net": {"class_path": "metarec.nets.ncf.None"}}.items():
        torch.save({**last, "hyper_parameters": {**last["hyper_parameters"], name: value}}, path)
        with pytest.raises(InputError, match=f"^{path}: its hyper_parameters make no module") as error:
            MetaModule.load_from_checkpoint(path)
        assert "\n" not in str(error.value)


@pytest.mark.parametrize("function", ["metarec.cli.main", "torch.hub.load", "torch.os.system", "torch.load"])
def test_arguments_that_are_functions_are_not_called(function: str, last: Content, tmp_path: Path) -> None:
    path = tmp_path / "odd.ckpt"
    for net in (function, {"class_path": function}, {"class_path": function, "init_args": {"command": "exit 1"}}):
        torch.save({**last, "hyper_parameters": {**last["hyper_parameters"], "net": net}}, path)
        with pytest.raises(InputError, match=rf"^{path}: .*{function} is no component of the packages"):
            MetaModule.load_from_checkpoint(path)


def _of_optimizer(*path_and_value: Any) -> Callable[[Content], None]:
    return _set("optimizer_states", 0, *path_and_value)


TRAINING = {
    "no loops": (_without("loops"), "its loops are missing"),
    "no optimizer": (_without("optimizer_states"), "its optimizer_states are missing"),
    "no schedulers": (_without("lr_schedulers"), "its lr_schedulers are missing"),
    "callbacks of a kind": (_set("callbacks", [1]), "its callbacks are missing, or are no dict"),
    "loop of a fit": (_set(*FIT, 3), "its loops have other values than counts"),
    "negative count": (_set(*FIT, "epoch_progress", "current", "ready", -1), "other values than counts"),
    "text as count": (_set(*FIT, "epoch_progress", "current", "ready", "1"), "other values than counts"),
    "steps at odds": (_set("global_step", 999), "its global_step is 999, and its loops have counted 6"),
    "epochs at odds": (_set("epoch", 7), "its epoch is 7, and its loops have counted 2"),
    "state of a callback": (_set("callbacks", "EarlyStopping", 3), "a state of its callbacks or lr_schedulers is none"),
    "averaged weights": (_set("current_model_state", {NAME: HUGE}), "larger than what is stored"),
    "sparse moments": (_of_optimizer("state", 0, "exp_avg", torch.eye(3).to_sparse()), "is a strange tensor"),
}
OPTIMIZER = {
    "two optimizers": (lambda content: content["optimizer_states"].append({}), "2 optimizers, in the configuration 1"),
    "a text as state": (_set("optimizer_states", ["x"]), "a state is none"),
    "no groups": (_of_optimizer("param_groups", []), "its groups have other parameters or settings"),
    "a rate as text": (_of_optimizer("param_groups", 0, "lr", "fast"), "other parameters or settings"),
    "a rate not finite": (_of_optimizer("param_groups", 0, "lr", float("nan")), "other parameters or settings"),
    "shape of moments": (_of_optimizer("state", 0, "exp_avg", torch.zeros(2, 2)), "parameter 0 has another shape"),
    "moments not finite": (_of_optimizer("state", 0, "step", torch.tensor(float("nan"))), "or is not finite"),
    "no moments": (_of_optimizer("state", 0, {}), "the state of parameter 0 is none of AdamW"),
    "a parameter more": (_of_optimizer("state", 99, {}), "the state of parameter 99 is none of AdamW"),
}


@pytest.mark.filterwarnings("ignore:Sparse")
@pytest.mark.parametrize("kind", TRAINING)
def test_a_forged_state_of_training_is_refused(kind: str, last: Content) -> None:
    change, expected = TRAINING[kind]
    change(last)
    with pytest.raises(InputError) as error:
        resumable(last, "forged.ckpt")
    assert str(error.value).startswith("forged.ckpt: training cannot go on from it: ")
    assert expected in str(error.value)
    assert "give last.ckpt of the same configuration" in str(error.value)


@pytest.mark.parametrize("kind", OPTIMIZER)
def test_forged_states_of_an_optimizer_are_refused(kind: str, last: Content, trained: Path) -> None:
    module = MetaModule.load_from_checkpoint(trained / "run" / "checkpoints" / "last.ckpt")
    optimizer = module.make_optimizer(decay_groups(module.algorithm, module.algorithm.undecayed))
    trainer: Any = SimpleNamespace(optimizers=[optimizer], ckpt_path="forged.ckpt")
    require_states(last["optimizer_states"], trainer, module.make_optimizer)
    change, expected = OPTIMIZER[kind]
    change(last)
    with pytest.raises(InputError) as error:
        require_states(last["optimizer_states"], trainer, module.make_optimizer)
    assert str(error.value).startswith("forged.ckpt: does not fit the optimizer (")
    assert expected in str(error.value)


@pytest.mark.parametrize(
    "change",
    [_set("epoch", 7), _of_optimizer("state", 0, "exp_avg", torch.zeros(2, 2))],
    ids=["of training", "of an optimizer"],
)
def test_a_fit_does_not_begin_with_a_forged_state(
    change: Callable[[Content], None],
    last: Content,
    trained: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    change(last)
    path = tmp_path / "forged.ckpt"
    torch.save(last, path)
    line = refused(capsys, command("fit", trained, path, tmp_path, *LONGER))
    assert line.startswith(f"metarec: error: {path}: ")
    assert {file.name for file in tmp_path.rglob("*") if file.is_file()} <= {"forged.ckpt", "config.yaml"}


@pytest.mark.parametrize("name", ["fit", "test"])
def test_what_only_lightning_can_find_is_one_line_too(
    name: str, last: Content, trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    key = next(key for key in last["callbacks"] if key.startswith("BestCheckpoint"))
    last["callbacks"][key] = {"nothing": 1}
    torch.save(last, tmp_path / "forged.ckpt")
    line = refused(
        capsys,
        command(name, trained, tmp_path / "forged.ckpt", tmp_path, *LONGER),
    )
    assert "forged.ckpt: its state cannot be restored (KeyError: " in line


@pytest.mark.usefixtures("control")
def test_an_error_of_training_is_not_taken_for_one_of_the_checkpoint(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise KeyError("later")

    monkeypatch.setattr(MetaModule, "training_step", fail)
    path = trained / "run" / "checkpoints" / "last.ckpt"
    with pytest.raises(KeyError, match="later"):
        cli.main(command("fit", trained, path, tmp_path, *LONGER))


@pytest.mark.parametrize("name", ["fit", "test"])
def test_other_data_and_splits_are_refused(
    name: str, trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = trained / "run" / "checkpoints" / "last.ckpt"
    options = ["--allow_changes=true"] if name == "fit" else []
    line = refused(capsys, command(name, trained, path, tmp_path, "--data.scenario.init_args.seed=7", *options))
    assert f"{path}: was trained on other data or another split" in line
    rows = (trained / "ratings.csv").read_text().splitlines()
    user, item, rating = rows[1].split(",")
    (tmp_path / "ratings.csv").write_text(
        "\n".join([rows[0], f"{user},{item},{5.0 - float(rating) + 1}", *rows[2:], ""])
    )
    line = refused(capsys, command(name, tmp_path, path, tmp_path, *options))
    assert f"{path}: was trained on other data or another split" in line


@pytest.mark.usefixtures("control")
def test_the_note_holds_digests(last: Content, trained: Path) -> None:
    from metarec.configured import data_of

    data = data_of([word for word in layers(trained) if word.startswith(("-c", "--data"))])
    assert last["metarec"] == {"format": 1, **seen(data)}
