"""YAML is read as plain values, once each, or refused in one line with file and line, whatever it would become."""

import os
from pathlib import Path

import pytest

from metarec import experiment, plain_yaml, training
from metarec.errors import InputError
from metarec.files import read_yaml
from tests.small import layers, refused

LAUGHS = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 10)}]\n" for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)
ODD = {
    "python object": (
        "model:\n  net: !!python/object/apply:os.system [touch ran]\n",
        2,
        "!!python/object/apply:os.sys",
    ),
    "python name": ("data: {ratings: !!python/name:os.system }\n", 1, "would make an object; give plain values"),
    "other tag": ("model: !mine {a: 1}\n", 1, "the tag !mine would make an object"),
    "binary": ("model: {a: !!binary aGVsbG8=}\n", 1, "the tag !!binary"),
    "twice": ("model:\n  net: 1\n  algorithm: 2\n  net: 3\n", 4, "the key 'net' stands there twice; remove one"),
    "twice in line": ("model: {a: 1, 'a': 2}\n", 1, "the key 'a' stands there twice"),
    "laughs": (LAUGHS, 5, "holds more than 100000 values once its aliases are followed"),
    "inside itself": ("model: &a {b: *a}\n", 1, "*a stands inside itself"),
    "deep": ("model: " + "[" * 5000 + "]" * 5000, 1, "goes deeper than 40 levels"),
    "deep keys": ("\n".join(" " * n + "a:" for n in range(200)), 41, "goes deeper than 40 levels"),
    "a list as key": ("model:\n  ? [a]\n  : 1\n", 2, "a key is no plain value"),
    "latin-1": ("model: {}\n# café".encode("latin-1"), 2, "is no UTF-8; save it as UTF-8"),
    "interpolation": ("model:\n  net: ${oc.env:HOME}\n", 2, "layers have no interpolation; give the value itself"),
}


@pytest.mark.fault("yaml-tag")
@pytest.mark.parametrize("kind", ODD)
def test_layers_that_are_not_plain_are_refused(
    kind: str, trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text, line, expected = ODD[kind]
    layer = tmp_path / "layer.yaml"
    layer.write_bytes(text if isinstance(text, bytes) else text.encode())
    said = refused(capsys, ["fit", *layers(trained), f"-c={layer}"])
    assert f"{layer}:{line}: " in said
    assert expected in said
    assert [file.name for file in tmp_path.iterdir()] == ["layer.yaml"]


@pytest.mark.fault("yaml-tag")
@pytest.mark.parametrize("kind", [kind for kind in ODD if kind not in ("latin-1", "interpolation")])
def test_options_that_are_not_plain_are_refused(
    kind: str, trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text, _, expected = ODD[kind]
    said = refused(capsys, ["fit", *layers(trained), f"--model.net.init_args={text}"])
    assert f"--model.net.init_args: {expected.partition('!!python/object')[0]}" in said or expected in said


@pytest.mark.fault("yaml-tag")
def test_a_file_that_an_option_names_is_plain_too(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "net.yaml").write_text("class_path: metarec.nets.ncf.NeuMF\ninit_args: {gmf: 3, gmf: 4}\n")
    said = refused(capsys, ["fit", *layers(trained), f"--model.net={tmp_path / 'net.yaml'}"])
    assert "net" in said


@pytest.mark.fault("yaml-tag")
def test_files_that_are_none_are_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.yaml")
    (tmp_path / "empty.yaml").touch()
    (tmp_path / "long.yaml").write_text("a: 1\n" + "# comment\n" * 100_000)
    (tmp_path / "two.yaml").write_text("a: 1\n---\nb: 2\n")
    (tmp_path / "open.yaml").write_text("a: [\n")
    (tmp_path / "date.yaml").write_text("a: 2026-99-99\n")
    (tmp_path / "control.yaml").write_text("a: \x00\n")
    said = {
        "pipe.yaml": ": cannot be read (it is no regular file); give a YAML file",
        "empty.yaml": ": is empty; give a YAML file",
        "long.yaml": ": has 1000005 bytes, and 1000000 are read",
        "two.yaml": ": not YAML: expected a single document",
        "open.yaml": ": not YAML: ",
        "date.yaml": ": not YAML: ",
        "control.yaml": ": not YAML: ",
        "absent.yaml": ": cannot be read (No such file or directory)",
        "x" * 300: ": cannot be read (File name too long)",
    }
    for name, expected in said.items():
        with pytest.raises(InputError) as error:
            read_yaml(tmp_path / name, "model")
        assert str(error.value).startswith(f"{tmp_path / name}{expected}")
        assert "\n" not in str(error.value)
    with pytest.raises(InputError, match="cannot be read"):
        read_yaml(Path("/dev/zero"), "model")


def test_plain_yaml_is_read_as_ever(trained: Path, tmp_path: Path) -> None:
    text = "a: &x {b: [1, 2.5, true, null, text]}\nc: *x\nd: !!str 3\ne: {<<: *x, f: 1}\n"
    plain = {"b": [1, 2.5, True, None, "text"]}
    assert plain_yaml.loaded(text, "text") == {"a": plain, "c": plain, "d": "3", "e": {**plain, "f": 1}}
    options = [
        "--model.optimizer.init_args.lr=1e-3",
        "--trainer.limit_train_batches=0.5",
        "--data.train_support=[2, 3]",
    ]
    config = training.parse(["fit", *layers(trained), *options])
    assert config["model"]["optimizer"]["init_args"]["lr"] == 0.001
    assert config["data"]["train_support"] == (2, 3)


@pytest.mark.fault("yaml-tag")
@pytest.mark.parametrize(
    "text",
    ["${oc.env:SECRET}", "x${oc.env:HOME,x}y", "${oc.decode:${oc.env:HOME}}", "${oc.${a}:HOME}", "${${a}.b}",
     "${oc.env:METAREC_DATA,${oc.env:HOME}}", "${oc.env:METAREC_DATA_KEY}", "${ oc.env:HOME }"],
)  # fmt: skip
def test_experiments_ask_the_environment_for_nothing_but_the_data(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET", "canary")
    path = tmp_path / "experiment.yaml"
    head = "shows: A test.\nreference: a\nmetrics: [mae]\nmethods: {a: {}}\nlayers: []\n"
    path.write_text(head + f'options: {{data.order: "{text}"}}\n')
    with pytest.raises(InputError) as error:
        experiment.load(path)
    assert str(error.value).startswith(f"{path}:6: {text}: of interpolations there are ${{KEY}} and ")
    assert "canary" not in str(error.value)
    monkeypatch.setenv("METAREC_DATA", "there")
    path.write_text(head + 'options: {data.order: "${oc.env:METAREC_DATA,data}/a ${reference}"}\n')
    assert experiment.load(path).options == {"data.order": "there/a a"}


@pytest.mark.fault("yaml-tag")
def test_experiments_are_plain(tmp_path: Path) -> None:
    path = tmp_path / "experiment.yaml"
    path.write_text("shows: !!python/object/apply:os.system [touch ran]\n")
    with pytest.raises(InputError, match=r"experiment.yaml:1: the tag !!python"):
        experiment.load(path)
    path.write_text("shows: a\nshows: b\n")
    with pytest.raises(InputError, match=r"experiment.yaml:2: the key 'shows' stands there twice"):
        experiment.load(path)
