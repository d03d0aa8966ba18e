"""Training that starts from a matrix factorisation instead of from random vectors."""

from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.utilities import rank_zero_only

from metarec.baselines.als import AlternatingLeastSquares
from metarec.errors import InputError
from metarec.nets.base import NoNet


class StartFromFactors(Callback):
    """Before the first step, gives the net the item vectors and biases that alternating least squares finds.

    They are fitted to the training ratings of known users, as `metarec.baselines.als.AlternatingLeastSquares` fits
    them. Episodes show an item's ratings one at a time and a rare item's hardly ever; least squares sees all at once.
    A fit that is resumed, or begins with the weights of an earlier time, keeps what it has.

    Args:
        regularisation: ridge penalty, > 0; the ridge head with the same `penalty` and without attributes then starts
            as alternating least squares with fold-in.
        sweeps: how often users and items are fitted in turn, >= 1.
        seed: seed of the initial item factors.
    """

    def __init__(self, regularisation: float = 5.0, sweeps: int = 15, seed: int = 0) -> None:
        self.regularisation, self.sweeps, self.seed = regularisation, sweeps, seed

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Fit the factors and hand them over.

        Raises:
            InputError: the net cannot start from factors, or a number is out of range.
        """
        module: Any = pl_module
        if trainer.ckpt_path is not None or trainer.global_step or module.begins_with is not None:
            return
        net: Any = getattr(module.algorithm, "net", None)
        start = getattr(net, "start_from_factors", None)
        if start is None:
            raise InputError(f"StartFromFactors: {type(net).__name__} has no item vectors of its own; use the net FM")
        rank_zero_only(print)(f"factors: fitting {net.width} to the training ratings")
        data = trainer.datamodule  # type: ignore[attr-defined]
        als = AlternatingLeastSquares(NoNet(net.schema), net.width, self.regularisation, self.sweeps, self.seed)
        als.prepare(data.known, data.known_tasks)
        start(als.item[:, :-1].to(pl_module.device), als.item[:, -1:].to(pl_module.device))
