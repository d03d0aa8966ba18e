"""Which settings a resumed run must share with the one before."""

from pathlib import Path

import pytest

from metarec.errors import InputError
from metarec.resuming import last_checkpoint, require_settings, settings_of
from tests.test_training import QUIET, metarec, refused

CONFIG = {
    "seed_everything": 3,
    "trainer": {"max_epochs": 5, "default_root_dir": "a", "devices": 1, "logger": {"class_path": "x"}, "callbacks": []},
    "model": {"net": {"init_args": {"hidden": [5, 4]}}},
    "data": {"num_workers": 0, "batch_size": 8},
    "resume": True,
}


def changed(**parts: dict) -> dict:
    return {**CONFIG, **{name: {**CONFIG[name], **part} for name, part in parts.items()}}


def test_settings_are_leaves_by_name_but_for_those_that_change_nothing() -> None:
    assert settings_of(CONFIG) == {
        "seed_everything": 3,
        "trainer.max_epochs": 5,
        "trainer.callbacks": "[]",
        "model.net.init_args.hidden.0": 5,
        "model.net.init_args.hidden.1": 4,
        "data.batch_size": 8,
    }


@pytest.mark.fault("other-config")
def test_other_settings_are_shown_and_refused_unless_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    other = changed(trainer={"max_epochs": 9, "devices": 2}, data={"num_workers": 4, "batch_size": 16})
    saved = {"settings": settings_of(CONFIG)}
    said = "data.batch_size is 16, was 8, trainer.max_epochs is 9, was 5"
    with pytest.raises(InputError, match=f"^a.ckpt: {said}; give what .* or --allow_changes=true$"):
        require_settings("a.ckpt", saved, settings_of(other), allow_changes=False)
    assert not capsys.readouterr().out
    require_settings("a.ckpt", saved, settings_of(other), allow_changes=True)
    assert capsys.readouterr().out == f"metarec: goes on from a.ckpt with changes: {said}\n"


@pytest.mark.fault("other-config")
def test_a_setting_that_is_gone_or_new_is_another(capsys: pytest.CaptureFixture[str]) -> None:
    saved = {"settings": settings_of(CONFIG)}
    for lists in ([5], [5, 4, 3]):
        other = changed(model={"net": {"init_args": {"hidden": lists}}})
        with pytest.raises(InputError, match=r"model.net.init_args.hidden.\d is"):
            require_settings("a.ckpt", saved, settings_of(other), allow_changes=False)
    many = {f"name{number}": number for number in range(8)}
    with pytest.raises(InputError, match="and 11 more; give"):
        require_settings("a.ckpt", saved, many, allow_changes=False)
    require_settings("a.ckpt", saved, settings_of(changed(trainer={"devices": 4})), allow_changes=False)
    assert not capsys.readouterr().out


def test_a_folder_without_a_checkpoint_begins(tmp_path: Path) -> None:
    assert last_checkpoint(tmp_path, None) is None
    with pytest.raises(InputError, match=r"leave out --ckpt_path=b\.ckpt"):
        last_checkpoint(tmp_path, "b.ckpt")


@pytest.mark.fault("other-config")
@pytest.mark.usefixtures("movielens")
def test_the_command_line_resumes_the_same_settings_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    own = [*QUIET, f"--trainer.default_root_dir={tmp_path}", "--trainer.limit_train_batches=2", "--resume=true"]
    metarec("fit", *own, "--trainer.max_epochs=1")
    last = tmp_path / "checkpoints" / "last.ckpt"
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    capsys.readouterr()
    assert refused(capsys, *own, "--trainer.max_epochs=2") == (
        f"metarec: error: {last}: trainer.max_epochs is 2, was 1; "
        "give what it was trained with, or --allow_changes=true"
    )
    assert "leave out --ckpt_path" in refused(capsys, *own, "--trainer.max_epochs=1", f"--ckpt_path={last}")
    assert before == {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    metarec("fit", *own, "--trainer.max_epochs=2", "--allow_changes=true")
    assert "ckpt_path: null" in (tmp_path / "config.yaml").read_text()
