"""Steps that are not finite: not taken, said why, skipped where that is allowed, and nothing bad is kept."""

import json
import math
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback

from metarec.algorithms.gradient.maml import MAML
from metarec.callbacks import BestCheckpoint
from metarec.data.ratings import Ratings
from metarec.errors import DivergedError, InputError
from metarec.finite import Guard, require_finite, spread
from metarec.module import MetaModule
from metarec.run_folder import RunFolder
from metarec.saving import KeepLast
from tests.test_module import NET, data_of, module_of, trainer_of


class Spoil(Callback):
    """Puts a value into the loss, one gradient or one weight of chosen steps; notes the weights before each step.

    Args:
        what: `loss`, `gradient` or `weight`.
        steps: the chosen steps, from 0.
        value: what is put there.
    """

    def __init__(self, what: str, steps: tuple[int, ...], value: float = math.nan) -> None:
        self.what, self.steps, self.value = what, steps, value
        self.before: dict[str, torch.Tensor] = {}

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        self.before = {name: value.detach().clone() for name, value in pl_module.named_parameters()}
        if self.what == "weight" and trainer.global_step in self.steps:
            next(pl_module.parameters()).data.fill_(self.value)
        loss, times = type(pl_module.algorithm).loss, self.value if self._now(trainer, "loss") else 1.0
        pl_module.algorithm.loss = lambda batch: times * loss(pl_module.algorithm, batch)

    def on_after_backward(self, trainer: Any, pl_module: Any) -> None:
        if self._now(trainer, "gradient"):
            next(value.grad for value in pl_module.parameters() if value.grad is not None).view(-1)[0] = self.value

    def _now(self, trainer: Any, what: str) -> bool:
        return self.what == what and trainer.global_step in self.steps


def stopped(ratings: Ratings, folder: Path, spoil: Spoil, module: MetaModule | None = None, **options: Any) -> str:
    """What is said when training stops; the weights must be those before the step."""
    module = module or module_of(ratings)
    callbacks = [KeepLast(0), spoil, RunFolder(), BestCheckpoint()]
    with pytest.raises(DivergedError) as error:
        trainer_of(folder, callbacks=callbacks, **options).fit(module, datamodule=data_of(ratings))
    if spoil.what != "weight":
        assert all(torch.equal(value, spoil.before[name]) for name, value in module.named_parameters())
    return str(error.value)


@pytest.mark.fault("not-finite")
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize(
    "options", [{}, {"gradient_clip_val": 1.0}, {"gradient_clip_val": 1.0, "gradient_clip_algorithm": "value"}]
)
@pytest.mark.parametrize("what", ["loss", "gradient"])
def test_it_stops_before_the_step_and_keeps_what_was_good(
    what: str, options: dict, value: float, ratings: Ratings, tmp_path: Path
) -> None:
    said = stopped(ratings, tmp_path, Spoil(what, (4,), value), **options)
    assert said.startswith("step 5 is not finite and was not taken: the gradient of ")
    assert "lower inner_lr, or the optimizer's lr" in said
    for name in ("last", "best"):
        content = torch.load(tmp_path / "checkpoints" / f"{name}.ckpt", weights_only=True)
        assert all(tensor.isfinite().all() for tensor in content["state_dict"].values())
    assert content["global_step"] == 3


@pytest.mark.fault("not-finite")
def test_a_step_size_that_is_too_large_is_named_with_the_tasks(ratings: Ratings, tmp_path: Path) -> None:
    module = module_of(ratings, inner_lr=1e30)
    said = stopped(ratings, tmp_path, Spoil("nothing", ()), module)
    assert said.startswith("step 1 is not finite and was not taken: adaptation to u")
    assert said.endswith("and 5 more diverges; lower the algorithm's inner_lr 1e+30")
    assert not (tmp_path / "checkpoints" / "best.ckpt").exists()


@pytest.mark.fault("not-finite")
def test_weights_that_are_not_finite_are_named(ratings: Ratings, tmp_path: Path) -> None:
    said = stopped(ratings, tmp_path, Spoil("weight", (4,)))
    first = next(name for name, _ in module_of(ratings).named_parameters())
    assert said == f"step 5 is not finite and was not taken: the weights ({first}) are not; lower the optimizer's lr"


@pytest.mark.fault("not-finite")
def test_weights_that_a_step_has_spoiled_are_not_saved(ratings: Ratings, tmp_path: Path) -> None:
    trainer = trainer_of(tmp_path, callbacks=[Spoil("weight", (3,), math.inf), KeepLast(0)])
    with pytest.raises(DivergedError, match=r"after step 3, algorithm\S+ is not finite, so nothing was saved; lower"):
        trainer.fit(module_of(ratings), datamodule=data_of(ratings))
    last = torch.load(tmp_path / "checkpoints" / "last.ckpt", weights_only=True)
    assert all(value.isfinite().all() for value in last["state_dict"].values())
    assert last["global_step"] == 2


@pytest.mark.fault("not-finite")
@pytest.mark.parametrize("accumulate", [1, 2])
@pytest.mark.parametrize("what", ["loss", "gradient"])
def test_steps_are_skipped_and_counted_where_that_is_asked_for(
    what: str, accumulate: int, ratings: Ratings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.manual_seed(0)
    module = MetaModule(ratings.schema, NET, MAML, partial(torch.optim.Adam, lr=0.02), may_skip=2)
    trainer = trainer_of(
        tmp_path, callbacks=[Spoil(what, (1, 2)), RunFolder()], accumulate_grad_batches=accumulate, max_epochs=3
    )
    trainer.fit(module, datamodule=data_of(ratings))
    trainer.test(module, datamodule=data_of(ratings), verbose=False)
    assert json.loads((tmp_path / "metrics.json").read_text())["skipped_steps"] == 2
    assert all(value.isfinite().all() for value in module.parameters())
    said = [line for line in capsys.readouterr().err.splitlines() if line.startswith("metarec:")]
    assert [line.split(":")[1] for line in said] == [
        f" step {number + 1} is not finite and was skipped ({number} of 2)" for number in (1, 2)
    ]


@pytest.mark.fault("not-finite")
def test_one_more_than_may_be_skipped_ends_training(ratings: Ratings, tmp_path: Path) -> None:
    torch.manual_seed(0)
    module = MetaModule(ratings.schema, NET, MAML, partial(torch.optim.Adam, lr=0.02), may_skip=1)
    said = stopped(ratings, tmp_path, Spoil("gradient", (1, 3)), module)
    assert said.startswith("step 4 is not finite and was not taken")
    assert said.endswith("; 1 steps were skipped before")


def test_a_skipped_step_leaves_the_weights_and_the_moments(ratings: Ratings, tmp_path: Path) -> None:
    torch.manual_seed(0)
    module = MetaModule(ratings.schema, NET, MAML, partial(torch.optim.Adam, lr=0.02), may_skip=1)
    spoil = Spoil("gradient", (2,))
    trainer = trainer_of(tmp_path, callbacks=[spoil], max_steps=3, limit_val_batches=0)
    trainer.fit(module, datamodule=data_of(ratings))
    assert all(torch.equal(value, spoil.before[name]) for name, value in module.named_parameters())
    assert {int(state["step"]) for state in trainer.optimizers[0].state.values()} == {2}


def test_a_loss_is_itself_or_spreads() -> None:
    for given, expected in ((2.5, 1.0), (math.inf, math.nan), (math.nan, math.nan)):
        loss = torch.tensor(given, requires_grad=True)
        spread(loss).backward()
        assert loss.grad is not None
        assert float(loss.grad) == pytest.approx(expected, nan_ok=True)


def test_what_cannot_be_counted_is_refused() -> None:
    with pytest.raises(InputError, match=r"model.may_skip -1: give a number >= 0"):
        Guard(-1)


def test_the_first_weight_that_is_not_finite_is_named() -> None:
    require_finite({"a": torch.zeros(2), "codes": torch.tensor([1])}, 3)
    with pytest.raises(DivergedError, match="after step 3, b is not finite"):
        require_finite({"a": torch.zeros(2), "b": torch.tensor([1.0, math.nan])}, 3)
