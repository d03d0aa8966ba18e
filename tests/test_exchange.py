"""Weights go out as safetensors and come back bit by bit; files that are none of ours are refused in one line."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from metarec import checkpoint, cli, exchange
from metarec.errors import InputError
from metarec.module import MetaModule
from tests.small import layers, refused

NAME = "algorithm.net.decoder.user_prior"


@pytest.fixture(scope="module")
def out(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The weights of the small fit as safetensors."""
    path = tmp_path_factory.mktemp("out") / "weights.safetensors"
    cli.main(["export", str(trained / "run" / "checkpoints" / "best.ckpt"), "--into", str(path)])
    return path


def header_of(path: Path) -> tuple[dict[str, Any], bytes]:
    """Header and numbers of a safetensors file."""
    whole = path.read_bytes()
    end = 8 + int.from_bytes(whole[:8], "little")
    return json.loads(whole[8:end]), whole[end:]


def write(path: Path, header: dict[str, Any] | bytes, numbers: bytes) -> Path:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + numbers)
    return path


def test_weights_come_back_bit_by_bit_and_test_alike(trained: Path, out: Path, tmp_path: Path) -> None:
    best, back = trained / "run" / "checkpoints" / "best.ckpt", tmp_path / "back.ckpt"
    cli.main(["import", str(out), "--into", str(back)])
    before, after = checkpoint.read(best), checkpoint.read(back)
    assert before["state_dict"].keys() == after["state_dict"].keys() == load_file(out).keys()
    for name, value in before["state_dict"].items():
        assert value.dtype == after["state_dict"][name].dtype
        assert value.numpy().tobytes() == after["state_dict"][name].numpy().tobytes()
    for name in exchange.KEPT:
        assert before[name] == after[name]
    figures = []
    for path in (best, back):
        folder = tmp_path / path.stem
        options = [f"--trainer.default_root_dir={folder}", f"--ckpt_path={path}", "--verbose=false"]
        cli.main(["test", *layers(trained), *options])
        figures.append(json.loads((folder / "metrics.json").read_text())["metrics"])
    assert figures[0] == figures[1]
    assert MetaModule.load_from_checkpoint(back).state_dict().keys() == after["state_dict"].keys()


def test_what_came_back_cannot_be_resumed(
    trained: Path, out: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cli.main(["import", str(out), "--into", str(tmp_path / "back.ckpt")])
    options = [f"--trainer.default_root_dir={tmp_path / 'run'}", f"--ckpt_path={tmp_path / 'back.ckpt'}"]
    line = refused(capsys, ["fit", *layers(trained), *options])
    assert "back.ckpt: training cannot go on from it: its loops are missing" in line


def test_a_file_that_is_there_stays_unless_it_may_go(
    trained: Path, out: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    best, there = trained / "run" / "checkpoints" / "best.ckpt", tmp_path / "there"
    for command in (["export", str(best)], ["import", str(out)]):
        there.write_text("mine")
        line = refused(capsys, [*command, "--into", str(there)])
        assert f"{there}: is there; name another file, or replace it with --force" in line
        assert there.read_text() == "mine"
        cli.main([*command, "--into", str(there), "--force"])
        assert there.stat().st_size > 1000
        assert "no regular file" in refused(capsys, [*command, "--into", str(tmp_path), "--force"])
        assert "cannot be written" in refused(capsys, [*command, "--into", "/proc/x/y"])
    assert [file.name for file in tmp_path.iterdir()] == ["there"]


@pytest.mark.fault("weights")
def test_a_file_that_is_cut_off_is_refused_at_every_length(
    out: Path, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    whole, path = out.read_bytes(), tmp_path / "cut.safetensors"
    lengths = [0, 1, 7, 8, 9, *range(10, len(whole), len(whole) // 100), len(whole) - 1]
    for length in lengths:
        path.write_bytes(whole[:length])
        with pytest.raises(InputError, match=rf"^{path}: (is empty|no whole safetensors file of metarec \(.*\)); give"):
            exchange.read(path)
    record_property("injected", len(lengths))


@pytest.mark.fault("weights")
def test_headers_that_are_none_are_refused(out: Path, tmp_path: Path) -> None:
    header, numbers = header_of(out)
    first, second = [name for name in header if name != "__metadata__"][:2]
    text = json.dumps(header).encode()
    doubled = text[:-1] + b', "' + first.encode() + b'": ' + json.dumps(header[first]).encode() + b"}"
    alias = {**header, second: header[first]}
    huge = {**header, first: {**header[first], "shape": [10**18, 10**18]}}
    negative = {**header, first: {**header[first], "shape": [-1]}}
    deep = b"[" * 100_000 + b"]" * 100_000
    odd_headers = {"doubled": doubled, "alias": alias, "huge": huge, "negative": negative, "deep": deep, "list": b"[]"}
    for name, odd in odd_headers.items():
        path = write(tmp_path / name, odd, numbers)
        with pytest.raises(InputError, match=rf"^{path}: no whole safetensors file of metarec \(.+\); give a") as error:
            exchange.read(path)
        assert "\n" not in str(error.value)
    for name, odd in {"long": (2**62).to_bytes(8, "little"), "text": b"x" * 50}.items():
        (tmp_path / name).write_bytes(odd)
        with pytest.raises(InputError, match=rf"^{tmp_path / name}: no whole safetensors file"):
            exchange.read(tmp_path / name)


@pytest.mark.fault("weights")
def test_notes_and_weights_that_are_not_ours_are_refused(out: Path, tmp_path: Path) -> None:
    header, _ = header_of(out)
    note = json.loads(header["__metadata__"]["metarec"])
    path, weights = tmp_path / "odd.safetensors", load_file(out)

    def said(note: Any, weights: dict[str, torch.Tensor] = weights) -> str:
        metadata = {"metarec": note if isinstance(note, str) else json.dumps(note)}
        save_file(weights, path, metadata if note is not None else None)
        with pytest.raises(InputError) as error:
            exchange.read(path)
        assert str(error.value).startswith(f"{path}: ")
        return str(error.value)

    assert "no whole safetensors file of metarec (no metadata)" in said(None)
    assert "no whole safetensors file" in said("{")
    assert "no whole safetensors file" in said('{"epoch": 1, "epoch": 2}')
    assert "no checkpoint of metarec" in said([])
    assert "no checkpoint of metarec" in said({})
    assert "of format 2, and this metarec reads 1" in said({**note, "metarec": {**note["metarec"], "format": 2}})
    assert "its digest of the split is none" in said({**note, "metarec": {**note["metarec"], "split": "x"}})
    assert "_instantiator" in said({**note, "hyper_parameters": {"_instantiator": "os.system"}})
    assert "os.system is no component" in said({**note, "hyper_parameters": {"net": {"class_path": "os.system"}}})
    assert f"{NAME} are not finite" in said(note, {**weights, NAME: torch.tensor([float("inf")])})
    assert f"{NAME} are of a strange kind" in said(note, {**weights, NAME: torch.zeros(2, dtype=torch.complex64)})


@pytest.mark.fault("weights")
def test_what_is_no_regular_file_is_refused(tmp_path: Path, trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    os.mkfifo(tmp_path / "pipe")
    into = ["--into", str(tmp_path / "out")]
    for path, expected in {
        str(tmp_path / "pipe"): "no regular file",
        str(tmp_path): "a folder",
        "/dev/zero": "no regular file",
        "https://example.org/weights.safetensors": "is an address; download it",
        "": "the name of a file is empty",
        str(tmp_path / "absent"): "No such file",
        str(trained / "run" / "checkpoints" / "best.ckpt"): "no whole safetensors file of metarec (a header of",
    }.items():
        line = refused(capsys, ["import", path, *into])
        assert expected in line
        assert path in line
        assert "give a .safetensors file that `metarec export` made" in line
    assert "is an address" in refused(capsys, ["export", "s3://bucket/a.ckpt", *into])
    assert [file.name for file in tmp_path.iterdir()] == ["pipe"]
