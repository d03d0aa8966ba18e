"""The learning curve that a fit leaves in its run folder."""

from pathlib import Path

import pytest
from lightning.pytorch import Callback, LightningModule, Trainer

from metarec.callbacks import BestCheckpoint, LearningCurve
from metarec.data.ratings import Ratings
from metarec.learning import LEARNING, read, write
from metarec.run_folder import RunFolder
from metarec.saving import KeepLast
from tests.test_module import data_of, module_of, trainer_of


class Noted(Callback):
    """What the trainer itself knew after each validation of a fit."""

    def __init__(self) -> None:
        self.rows: list[dict[str, float]] = []

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not trainer.sanity_checking:
            self.rows.append({name: float(value) for name, value in trainer.callback_metrics.items()})


def fitted(ratings: Ratings, folder: Path, epochs: int, ckpt: Path | None = None, **options: object) -> list[dict]:
    """Fit, then judge on the same trainer, which must add nothing; the rows of the curve."""
    noted = Noted()
    callbacks = [KeepLast(), RunFolder(), LearningCurve(), BestCheckpoint(), noted]
    trainer = trainer_of(folder, max_epochs=epochs, callbacks=callbacks, **options)
    module, data = module_of(ratings), data_of(ratings)
    trainer.fit(module, datamodule=data, ckpt_path=ckpt, weights_only=True)
    during = len(noted.rows)
    trainer.validate(module, datamodule=data, verbose=False)
    trainer.test(module, datamodule=data, verbose=False)
    rows = read(folder / LEARNING)
    for row, known in zip(rows[-during:], noted.rows, strict=False):
        assert {name: value for name, value in row.items() if name.startswith("val/")} == pytest.approx(
            {name: value for name, value in known.items() if name.startswith("val/")}
        )
    return rows


def test_a_row_a_validation(ratings: Ratings, tmp_path: Path) -> None:
    rows = fitted(ratings, tmp_path, 3, num_sanity_val_steps=1)
    assert [row["epoch"] for row in rows] == [1, 2, 3]
    assert len({row["step"] - number * rows[0]["step"] for number, row in enumerate(rows)}) == 1
    assert {"val/adapted/mae", "val/zero_shot/mae", "val/adapted/ndcg_exp@5"} <= set(rows[0])
    assert not any(name.startswith(("train/", "test/")) for name in rows[0])
    assert [path.name for path in tmp_path.glob("*.csv*")] == [LEARNING]


def test_a_resumed_fit_goes_on_with_its_rows(ratings: Ratings, tmp_path: Path) -> None:
    whole = fitted(ratings, tmp_path / "whole", 4)
    fitted(ratings, tmp_path / "half", 2)
    last = tmp_path / "half" / "checkpoints" / "last.ckpt"
    cut = read(tmp_path / "half" / LEARNING)
    write(tmp_path / "half" / LEARNING, [*cut, cut[-1] | {"epoch": 3, "step": cut[-1]["step"] + 1}])  # died after it
    assert fitted(ratings, tmp_path / "half", 4, ckpt=last) == whole


def test_a_new_fit_begins_a_new_curve(ratings: Ratings, tmp_path: Path) -> None:
    fitted(ratings, tmp_path, 3)
    assert [row["epoch"] for row in fitted(ratings, tmp_path, 1)] == [1]


def test_numbers_are_read_as_they_were_written(tmp_path: Path) -> None:
    rows = [{"epoch": 1, "val/adapted/mae": 0.1 + 0.2}, {"epoch": 2, "val/adapted/mae": float("inf")}]
    write(tmp_path / LEARNING, rows)
    assert read(tmp_path / LEARNING) == rows
    assert read(tmp_path / "absent.csv") == []
