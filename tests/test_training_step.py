"""One training step: sparse tables and their optimizer, what is refused before it, and what it must not read."""

from functools import partial
from pathlib import Path

import pytest
import torch
from lightning.pytorch import Callback, seed_everything
from torch.utils._python_dispatch import TorchDispatchMode

from metarec.algorithms.gradient.maml import MAML
from metarec.callbacks import ProgressBar
from metarec.data.ratings import Ratings
from metarec.errors import InputError
from metarec.module import MetaModule
from metarec.optim import RowAdamW
from tests.test_module import NET, data_of, module_of, trainer_of


def test_sparse_tables_train_with_row_steps_and_clipping(ratings: Ratings, tmp_path: Path) -> None:
    seed_everything(0, verbose=False)
    net = partial(NET, sparse=True)
    module = MetaModule(ratings.schema, net, partial(MAML, adapts=["decision"]), partial(RowAdamW, lr=0.02))
    before = module.algorithm.net.encoder.item.table["id"].detach().clone()
    norms = []

    class Norm(Callback):
        def on_before_zero_grad(self, trainer, pl_module, optimizer):
            found = [
                p.grad.coalesce().values() if p.grad.is_sparse else p.grad
                for p in pl_module.parameters()
                if p.grad is not None
            ]
            norms.append(float(torch.nn.utils.get_total_norm(found)) if found else 0.0)

    trainer = trainer_of(tmp_path, gradient_clip_val=0.01, callbacks=[Norm()])
    trainer.fit(module, datamodule=data_of(ratings))
    assert 0.009 < max(norms) < 0.0101
    assert not torch.equal(module.algorithm.net.encoder.item.table["id"], before)
    assert all(parameter.isfinite().all() for parameter in module.parameters())


def test_sparse_tables_need_their_optimizer(ratings: Ratings, tmp_path: Path) -> None:
    module = MetaModule(ratings.schema, partial(NET, sparse=True), MAML, torch.optim.AdamW)
    with pytest.raises(InputError, match=r"sparse: true with the optimizer AdamW; use metarec.optim.RowAdamW"):
        trainer_of(tmp_path).fit(module, datamodule=data_of(ratings))


def test_binary_targets_are_asked_for(ratings: Ratings, tmp_path: Path) -> None:
    module = module_of(ratings, loss="binary_cross_entropy")
    with pytest.raises(InputError, match=r"ratings in \[1.0, 5.0\]; give targets in \[0, 1\]"):
        trainer_of(tmp_path).fit(module, datamodule=data_of(ratings))


def test_a_step_that_is_not_logged_reads_no_value_but_whether_it_is_finite(ratings: Ratings, tmp_path: Path) -> None:
    step, read = [-1], []

    class Step(Callback):
        def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
            step[0] = batch_idx

    class Reads(TorchDispatchMode):
        """Notes the step of each value that leaves a tensor, as `item`, `float` and `bool` let it."""

        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            if func is torch.ops.aten._local_scalar_dense.default:
                read.append(step[0])
            return func(*args, **(kwargs or {}))

    options = {"limit_val_batches": 0, "max_epochs": 1, "log_every_n_steps": 2, "enable_checkpointing": False}
    trainer = trainer_of(tmp_path, callbacks=[Step(), ProgressBar(2)], enable_progress_bar=True, **options)
    module = MetaModule(ratings.schema, NET, MAML, partial(torch.optim.Adam, fused=True))
    with Reads():
        trainer.fit(module, datamodule=data_of(ratings, batch_size=2))
    assert step[0] > 8
    quiet = list(range(0, step[0], 2))
    assert [read.count(number) for number in quiet] == [1] * len(quiet)
