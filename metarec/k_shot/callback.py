"""KShotCurve: judges test users with k = 0, 1, 2, ... of their ratings, always on the same other ones."""

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.utilities import rank_zero_only
from torch import Tensor

from metarec.algorithms.base import Algorithm
from metarec.data.shots import ShotEpisodes, nested, shot_sizes
from metarec.data.tasks import TaskBatch
from metarec.files import replacing, write_json
from metarec.judging import Columns, adapted
from metarec.k_shot import figure
from metarec.k_shot.summary import Curve, as_plain, curve, of_users
from metarec.metrics.base import TaskMetric
from metarec.plots.style import require_matplotlib
from metarec.run_folder import frame, gathered
from metarec.tracking.artifacts import staging_in
from metarec.tracking.charts import log_k_shot
from metarec.tracking.logger import runs

RESAMPLES = 2_000
"""Of each interval's bootstrap: a fifth of a table's, since every metric has one at each k."""


class KShotCurve(Callback):
    """After a test, judges the test users again at each of some numbers k of support ratings, with all metrics.

    At every k the users and their query sets are the same, and the support set of k ratings holds that of fewer. k = 0
    is zero-shot: the model as it is, which sees no support set. Users with too few ratings for the largest k and a
    query set are left out and counted. What is selected or tuned beforehand stays as it was chosen for
    `data.eval_support` ratings.

    Writes ``k_shot.parquet`` (a row a user, draw and k), ``k_shot.json`` (means, intervals, area under the curve, shots
    needed for 95 % of the last gain, see `metarec.metrics.shots`) and ``k_shot.png`` into the run folder, and logs the
    curves to W&B over their own step ``k_shot/k``, so that those of several runs share a chart.

    Args:
        shots: the numbers k of support ratings, ascending; the shots needed for a gain want 0 among them.
        query: how many ratings are asked of each user; null: all that the largest of `shots` leaves.
        picture: whether to draw ``k_shot.png``, which needs matplotlib.

    Raises:
        InputError: the shots do not ascend, a number is too small, or there is no matplotlib for the picture.
    """

    def __init__(
        self, shots: Sequence[int] = (0, 1, 2, 3, 5, 10, 20), query: int | None = None, picture: bool = True
    ) -> None:
        self.shots, self.sizes, self.picture = list(shots), shot_sizes(shots, query), picture
        if picture:
            require_matplotlib("trainer.callbacks: KShotCurve's picture=false")

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Refuse shots that no test user has the ratings for, before anything is trained."""
        if stage in ("fit", "test"):
            self._episodes(trainer)

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Judge, and write and log what comes out."""
        started = time.perf_counter()
        episodes = self._episodes(trainer)
        columns = gathered(self._judged(trainer, pl_module, episodes))
        if not trainer.is_global_zero:
            return
        table = frame(columns, trainer).sort_values(["user", "k"], kind="stable", ignore_index=True)
        table.insert(1, "draw", table.groupby([name for name in ("user", "window", "k") if name in table]).cumcount())
        better = {metric.name: bool(metric.higher_is_better) for metric in _metrics(pl_module)}
        curves = {name: curve(*of_users(table, name), higher, RESAMPLES) for name, higher in better.items()}
        folder = Path(trainer.default_root_dir)
        with replacing(folder / "k_shot.parquet") as temporary:
            table.to_parquet(temporary, index=False)
        if self.picture:
            figure.draw({name: {"": found} for name, found in curves.items()}, folder / "k_shot.png")
        summary = self._summary(trainer, episodes, curves)
        write_json(folder / "k_shot.json", summary | {"seconds": round(time.perf_counter() - started, 3)})
        for run in runs(trainer):
            with staging_in(folder):
                log_k_shot(run, curves)
        _say(episodes)

    def _episodes(self, trainer: Trainer) -> ShotEpisodes:
        episodes: ShotEpisodes = trainer.datamodule.shot_episodes(self.sizes)  # type: ignore[attr-defined]
        return episodes

    def _judged(self, trainer: Trainer, module: Any, episodes: ShotEpisodes) -> list[Columns]:
        """Every metric at each k, a row a task."""
        rows = 1 + trainer.datamodule.negatives  # type: ignore[attr-defined]
        judged = []
        for number in range(len(episodes)):
            batch = trainer.precision_plugin.convert_input(episodes[number])
            batch = trainer.strategy.batch_to_device(batch, module.device)
            with trainer.precision_plugin.test_step_context():
                for k, prediction in predictions(module.algorithm, batch, self.shots, rows):
                    columns = {"user": batch.task, "k": torch.full_like(batch.task, k)}
                    for metric in _metrics(module):
                        columns[metric.name] = metric.values(prediction, batch.query.rating, batch.query.mask)
                    judged.append({name: column.cpu() for name, column in columns.items()})
        return judged

    def _summary(self, trainer: Trainer, episodes: ShotEpisodes, curves: dict[str, Curve]) -> dict[str, Any]:
        """What ``k_shot.json`` holds."""
        data = trainer.datamodule  # type: ignore[attr-defined]
        return {
            "data": {"name": data.ratings.name, "digest": data.ratings.digest},
            "split": {"digest": data.split.digest},
            "episodes": {"digest": data.test_digest, "draws": data.test_draws, "query": self.sizes.query},
            "shots": self.shots,
            "users": episodes.users,
            "left_out": {f"fewer than {episodes.needed} {episodes.kind}": episodes.left_out},
            "metrics": {name: as_plain(found) for name, found in curves.items()},
        }


@torch.no_grad()
def predictions(
    algorithm: Algorithm, batch: TaskBatch, shots: Sequence[int], rows: int = 1
) -> Iterator[tuple[int, Tensor]]:
    """Each k with predictions (T, Q) for the query set of all tasks, adapted to the first k ratings of the support set.

    Args:
        algorithm: the algorithm.
        batch: tasks with as many support ratings as the largest k, or more.
        shots: the numbers k; 0 is the model without adaptation.
        rows: rows that a rating takes: 1 and its negatives.
    """
    for k in shots:
        yield k, adapted(algorithm, batch._replace(support=nested(batch.support, k, rows)))


def _metrics(module: Any) -> list[TaskMetric]:
    """The metrics of adapted models."""
    return list(module.metrics["adapted"].values())


@rank_zero_only
def _say(episodes: ShotEpisodes) -> None:
    """Say who was judged, and who was not."""
    out = (
        f"; {episodes.left_out} left out, with fewer than {episodes.needed} {episodes.kind}"
        if episodes.left_out
        else ""
    )
    print(f"k-shot curves: {episodes.users} test users{out}")
