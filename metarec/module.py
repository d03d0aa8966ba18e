"""MetaModule: the LightningModule that trains and judges an algorithm; what Lightning calls lands here."""

from collections.abc import Callable, Sequence
from typing import Any, Self

import torch
from lightning.pytorch import LightningModule
from lightning.pytorch.cli import LRSchedulerCallable, OptimizerCallable
from lightning.pytorch.utilities import rank_zero_only
from torch import Tensor, nn

from metarec import provenance, training_state
from metarec.algorithms.base import Algorithm
from metarec.audit import prepare
from metarec.checkpoint import FORMAT, UNNAMED, checked, epochs_begun, loading, require_same
from metarec.curves import curves
from metarec.data.datamodule import EpisodeDataModule
from metarec.data.episodes import mixed_seed
from metarec.data.tasks import TaskBatch
from metarec.data.unseen import PARTS, parts
from metarec.epoch_log import EpochLog
from metarec.errors import DivergedError, InputError, at_least
from metarec.finite import Guard, clip, require_finite, spread
from metarec.judging import Columns, adapted, judged, seconds_alone
from metarec.metrics.base import TaskMetric
from metarec.metrics.collection import Feedback, as_modules, metrics_apart, require_negatives
from metarec.metrics.named import all_metrics
from metarec.nets.base import Net, Schema
from metarec.optim import decay_groups, require_rows

MODES = ("zero_shot", "adapted")
"""Every model is judged twice: as it is, and adapted to the support set."""

SAME_CONFIG = "use the configuration it was trained with, config.yaml in its run folder"


class MetaModule(LightningModule):
    """Trains an algorithm on batches of tasks and judges it zero-shot and adapted.

    Args:
        schema: counts and attribute sizes of the data; linked from the data in configurations.
        net: makes the net from the schema.
        algorithm: makes the algorithm from the net.
        optimizer: makes the outer optimizer from the parameters.
        lr_scheduler: makes its learning-rate schedule, stepped once an epoch; null: constant.
        ndcg_at: cut-off K of both nDCGs, precision, recall, hit rate, MRR and MAP.
        feedback: what is judged: `ratings`, by errors and ranks; `clicks` among negatives of the data, by AUC alone.
        relevant: lowest rating of a relevant item, for all of these but nDCG. The default suits ratings of 1 to 5; on
            any other scale, set it: where no rating reaches it, no user has a value.
        more_metrics: further metrics by name, such as `ndcg_exp@10`, `ndcg_binary@5`, `precision_top5@5` (the five
            largest ratings are relevant) or `precision_values@5` (values of ratings are matched), see
            `metarec.metrics.named`.
        may_skip: how many steps whose loss or gradient is not finite are skipped and counted; one more ends training.
    """

    def __init__(
        self,
        schema: Schema,
        net: Callable[[Schema], Net],
        algorithm: Callable[[Net], Algorithm],
        optimizer: OptimizerCallable = torch.optim.Adam,
        lr_scheduler: LRSchedulerCallable | None = None,
        ndcg_at: int = 5,
        feedback: Feedback = "ratings",
        relevant: float = 4.0,
        more_metrics: Sequence[str] = (),
        may_skip: int = 0,
    ) -> None:
        super().__init__()
        at_least(1, model__ndcg_at=ndcg_at)
        self.save_hyperparameters()
        if callable(self.hparams["net"]):  # not from a configuration: nothing plain that a checkpoint could hold
            self.hparams.clear()
        self.algorithm = algorithm(net(schema))
        # As functions, which copying a module leaves alone: what a configuration makes drags in the whole trainer.
        self.make_optimizer: OptimizerCallable = lambda parameters: optimizer(parameters)
        self.make_scheduler: LRSchedulerCallable | None = lr_scheduler and (lambda outer: lr_scheduler(outer))
        self.feedback, self.relevant = feedback, relevant
        self.metrics = nn.ModuleDict(
            {mode: as_modules(all_metrics(feedback, ndcg_at, relevant, more_metrics)) for mode in MODES}
        )
        self.apart = nn.ModuleDict({mode: as_modules(metrics_apart(feedback, PARTS)) for mode in MODES})
        self.parts: dict[str, Tensor] = {}
        """By part of the query ratings that a test judges apart, which items belong to it, (items,)."""
        self.per_task: list[Columns] = []
        self.epoch_log, self.guard = EpochLog(), Guard(may_skip)
        self.begins_with: str | None = None
        """The checkpoint whose parameters the first step finds, where training goes on from some."""
        self.resumes_with: list[Any] | None = None
        """States of the optimizers that a fit goes on with, until they are loaded."""
        self.weights: dict[str, int] = {}
        """Epochs and steps that made the weights; empty: they are initial ones."""

    @classmethod
    def load_from_checkpoint(cls, checkpoint_path: Any, *given: Any, **options: Any) -> Self:
        """The module of a checkpoint that `metarec.checkpoint.read` does not refuse; options are Lightning's."""
        with loading(checkpoint_path):
            return super().load_from_checkpoint(checkpoint_path, *given, **{**options, "weights_only": True})

    def setup(self, stage: str) -> None:
        """Hand the training tasks, and nothing else, to the algorithm; before a fit, make sure that it is so.

        Before a test, find out which query ratings are to be judged apart.
        """
        data = self._data()
        apart = stage == "test" and self.feedback == "ratings"
        found = parts(data.ratings, data.split.known, data.split.test) if apart else {}
        self.parts = {name: torch.from_numpy(items) for name, items in found.items()}
        require_negatives(self.feedback, data.negatives, bool((data.ratings.rating == 0).any()))
        prepare(self.algorithm, data, stage)

    def on_fit_start(self) -> None:
        """Refuse to train what has no parameters, or to go on with states of another optimizer."""
        training_state.require_states(self.resumes_with, self.trainer, self.make_optimizer)
        self.resumes_with = None
        if not any(parameter.requires_grad for parameter in self.algorithm.parameters()):
            raise InputError(f"{type(self.algorithm).__name__} has nothing to train; use `metarec test`")
        self.weights = {"epochs": 0, "steps": 0}

    def on_train_start(self) -> None:
        """Say how the algorithm computes."""
        for topic, remark in self.algorithm.remarks().items():
            rank_zero_only(print)(f"{topic}: {remark}")

    def on_fit_end(self) -> None:
        """Note how long the last weights were trained."""
        self.weights = {"epochs": self.trainer.current_epoch, "steps": self.trainer.global_step} | self.guard.counted

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Note what the weights have seen, what this epoch has shown, and the version of what is noted."""
        require_finite(checkpoint["state_dict"], self.global_step)
        checkpoint["metarec"] = {"format": FORMAT, **provenance.seen(self._data())}
        checkpoint["epoch_log"] = self.epoch_log.state(self) | {"skipped": self.guard.skipped}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Refuse weights of another net, or weights that may have been trained on this run's test users.

        Raises:
            InputError: shapes, data or split differ, or `metarec.checkpoint.read` would refuse it.
        """
        path = getattr(self._trainer, "ckpt_path", None) or UNNAMED
        require_same(checked(checkpoint, path)["state_dict"], self.state_dict(), path, SAME_CONFIG)
        if self._trainer is not None and not provenance.may_judge(checkpoint["metarec"], self._data()):
            raise InputError(f"{path}: was trained on other data or another split; {SAME_CONFIG}")
        self.guard.skipped = checkpoint.get("epoch_log", {}).get("skipped", 0)
        self.weights = {"epochs": epochs_begun(checkpoint), "steps": checkpoint["global_step"]} | self.guard.counted
        if self._trainer is not None and self._trainer.training:
            self.resumes_with = training_state.resumable(checkpoint, path)["optimizer_states"]
            self.epoch_log.load(checkpoint["epoch_log"], self.global_rank, self.device)

    def _require_trained(self) -> None:
        """Refuse to judge initial weights."""
        if not self.weights and any(True for _ in self.algorithm.parameters()):
            raise InputError("the model is not trained; give its weights with --ckpt_path, or fit it first")

    def configure_optimizers(self) -> Any:
        """The outer optimizer and its schedule; none for an algorithm without parameters."""
        parameters = decay_groups(self.algorithm, self.algorithm.undecayed)
        if not parameters:
            return None
        try:
            optimizer = self.make_optimizer(parameters)
            require_rows(self, optimizer, self.trainer.world_size)
            return optimizer if self.make_scheduler is None else ([optimizer], [self.make_scheduler(optimizer)])
        except ValueError as error:  # torch on a value out of range
            raise InputError(f"optimizer or lr_scheduler: {error}") from error

    def configure_gradient_clipping(
        self,
        optimizer: torch.optim.Optimizer,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Refuse a gradient that is not finite; clip, see `metarec.finite.clip`."""
        clip(self, optimizer, gradient_clip_val, gradient_clip_algorithm)

    def on_train_batch_start(self, batch: TaskBatch, batch_idx: int) -> None:
        """Make every random draw of this step a function of (seed, step)."""
        step = self.trainer.fit_loop.epoch_loop.batch_progress.total.ready
        seed = mixed_seed(self._data().seed, 2, step, self.global_rank)
        torch.default_generator.manual_seed(seed)  # torch.manual_seed formats three stack traces where there is no GPU
        if self.device.type == "cuda":
            torch.cuda.manual_seed(seed)

    def training_step(self, batch: TaskBatch, batch_idx: int) -> Tensor:
        """The outer loss of one batch; on logging steps also what adaptation does to the losses.

        In between, nothing is handed to Lightning, whose bookkeeping takes as long as a tenth of a step.
        """
        loss = self.algorithm.loss(batch)
        self.guard.note(batch)
        self.epoch_log.losses.append(loss.detach())
        every: int = self.trainer.log_every_n_steps  # type: ignore[attr-defined]
        if every and (self.global_step + 1) % every == 0:
            shown = curves(self.algorithm, batch, self.feedback)
            self.epoch_log.add_curves(shown, len(batch.task))
            self.log_dict({f"{name}_step": value for name, value in shown.items()} | {"train/loss_step": loss.detach()})
        return spread(loss)

    def on_train_epoch_end(self) -> None:
        """Log the means of the epoch."""
        self.log_dict(self.epoch_log.means(), sync_dist=True)
        self.epoch_log.clear()

    def validation_step(self, batch: TaskBatch, batch_idx: int) -> None:
        """Judge validation tasks."""
        values = self._judge(batch)[f"adapted/{self.main_metric.name}"]
        self.log("val/missing", (~values.isfinite()).float().sum(), reduce_fx="sum", sync_dist=True, on_epoch=True)

    def test_step(self, batch: TaskBatch, batch_idx: int) -> None:
        """Judge test tasks and keep the values of each, with the time each takes alone."""
        columns = self._judge(batch)
        columns["seconds"] = seconds_alone(self.algorithm, batch)
        self.per_task.append({name: column.cpu() for name, column in columns.items()})

    def predict_step(self, batch: TaskBatch, batch_idx: int) -> Columns:
        """Adapted predictions for the query set, flat: user row, item row, rating and prediction of each row."""
        prediction, mask = adapted(self.algorithm, batch), batch.query.mask
        user = batch.task[:, None].expand_as(mask)
        columns = {
            "user": user,
            "item": batch.query.item,
            "rating": batch.query.rating,
            "prediction": prediction,
        }
        return {name: column[mask] for name, column in columns.items()}

    def _judge(self, batch: TaskBatch) -> Columns:
        """Every metric in both modes, one value per task, added to the running means."""
        prediction = {
            "zero_shot": self.algorithm.predict({}, batch.task, batch.query.item),
            "adapted": adapted(self.algorithm, batch),
        }
        return judged(batch, prediction, self._metrics(), self.parts)

    def on_validation_start(self) -> None:
        """Refuse to judge initial weights."""
        self._require_trained()

    def on_test_start(self) -> None:
        """Refuse to judge initial weights."""
        self._require_trained()
        self.parts = {name: items.to(self.device) for name, items in self.parts.items()}

    def on_predict_start(self) -> None:
        """Refuse to predict with initial weights."""
        self._require_trained()

    def on_validation_epoch_end(self) -> None:
        """Log the validation means; stop when predictions for a user are not numbers."""
        self._log_means("val")
        missing = int(self.trainer.callback_metrics["val/missing"])
        if missing:
            raise DivergedError(
                f"after step {self.global_step}, predictions for {missing} validation users are not finite: training "
                "diverged; lower the optimizer's lr or the algorithm's inner_lr"
            )

    def on_test_epoch_start(self) -> None:
        """Forget the tasks of an earlier test."""
        self.per_task.clear()

    def on_test_epoch_end(self) -> None:
        """Log the test means."""
        self._log_means("test")

    def _log_means(self, stage: str) -> None:
        """Means over tasks (summed over processes by the metrics themselves), and the gain by adaptation."""
        for mode, metrics in self._metrics().items():
            for metric in metrics:
                self.log(f"{stage}/{mode}/{metric.name}", metric, metric_attribute=None)
        gain = {}
        for before, after in zip(*self._metrics().values(), strict=True):
            sign = 1 if after.higher_is_better else -1
            gain[f"{stage}/gain/{after.name}"] = sign * (after.compute() - before.compute())
        self.log_dict(gain)

    @property
    def main_metric(self) -> TaskMetric:
        """The first metric of adapted models."""
        return self._metrics()["adapted"][0]

    def _metrics(self) -> dict[str, list[TaskMetric]]:
        """The metrics of both modes, those of parts last; as many of each, in the same order."""
        both: Any = zip(self.metrics.items(), self.apart.values(), strict=True)
        return {
            mode: [*metrics.values(), *(metric for metric in apart.values() if metric.part in self.parts)]
            for (mode, metrics), apart in both
        }

    def _data(self) -> EpisodeDataModule:
        data: EpisodeDataModule = self.trainer.datamodule  # type: ignore[attr-defined]
        return data
