"""``metarec stream``: replay a stream with a trained model; a LightningCLI like the other commands that judge."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import torch
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.utilities import rank_zero_only
from torch import Tensor
from torch.utils.data import DataLoader

from metarec import __version__
from metarec.data.datamodule import EpisodeDataModule
from metarec.data.ratings import EARLIEST
from metarec.errors import InputError, at_least
from metarec.files import replacing, write_json
from metarec.judging import Columns
from metarec.module import MetaModule
from metarec.streaming.events import Events, Who, scored_of, stream_of
from metarec.streaming.figures import draw
from metarec.streaming.modes import MODES, Adaptation, Mode, possible
from metarec.streaming.replay import replay
from metarec.streaming.summary import Curves, curve, modes_of, summary
from metarec.tracking.logger import runs
from metarec.training import MetarecCLI
from metarec.training import run as run_training


class StreamData(EpisodeDataModule):
    """The data of a run, of which prediction takes the stream as its one batch."""

    who: Who = "test"

    def predict_dataloader(self) -> DataLoader[Any]:
        """The stream."""
        events: Any = [stream_of(self.ratings, self.split, self.who)]
        return DataLoader(events, batch_size=None, collate_fn=_unchanged)

    def transfer_batch_to_device(self, batch: Any, device: torch.device, dataloader_idx: int) -> Any:
        """Copy the stream."""
        return batch.to(device)


class StreamModule(MetaModule):
    """The model of a run, which predicts a stream event by event."""

    modes: Sequence[Mode] | None = None
    how = Adaptation()

    def predict_step(self, batch: Any, batch_idx: int) -> Columns:
        """All scored events in global time order: time, user row, item row, seen, rating, a prediction of each mode."""
        events: Events = batch
        modes = self.modes
        if modes is None:
            lacking = {mode: possible(self.algorithm, mode) for mode in MODES}
            modes = [mode for mode in MODES if not lacking[mode]]
            for mode, reason in lacking.items():
                if reason:
                    rank_zero_only(print)(f"without {mode}: {reason}")
        found: dict[str, Tensor] = replay(self.algorithm, events, modes, self.how)
        order = events.in_time()
        columns = {"time": events.time, "user": events.user[events.owner], "item": events.item, "seen": events.seen}
        return {name: column[order].cpu() for name, column in {**columns, "rating": events.rating, **found}.items()}


class StreamTrainer(Trainer):
    """A Trainer that replays streams."""

    def stream(
        self,
        model: StreamModule,
        datamodule: StreamData,
        ckpt_path: str | None = None,
        modes: list[Mode] | None = None,
        who: Who = "test",
        window: int = 20,
        half_life: float = 20.0,
        half_life_in: Literal["events", "days"] = "events",
        continue_steps: int | None = 1,
        curve_window: int = 1000,
        fading: float = 0.999,
    ) -> None:
        """Replay the stream's events in time order: score each by what was known before, then learn from it.

        Writes stream.parquet (an event a row), stream.json (errors over time, by what the user had said, by month) and
        stream.png to the run folder. The meta-model stays as it is; each user's own part follows their ratings.
        Ratings of one user with one time do not see each other.

        Args:
            model: the model.
            datamodule: the data.
            ckpt_path: weights, such as checkpoints/best.ckpt of a run folder.
            modes: how a user's model follows: `reset` adapts anew to all ratings so far, `window` to the last ones,
                `decay` to all by age, `continue` goes on from the user's fast weights with each new rating; null: all
                that the algorithm has.
            who: `test`: the ratings of the split's test users. `all`: everyone's from when the test begins, or, of a
                split that is not by time, those later than the last training rating that did not validate. What these
                users said before is learned from, not scored.
            window: ratings that `window` adapts to.
            half_life: age at which a rating counts half in `decay`.
            half_life_in: ages are counted in `events` of the user, or in `days`.
            continue_steps: inner steps for each new rating in `continue`; null: as many as the inner loop has, which is
                far for one rating.
            curve_window: events of the windowed curves.
            fading: factor of the fading curves: how much an event counts after the next one.

        Raises:
            InputError: a number is out of range, the algorithm lacks a mode, or the data have no times, are clicks, or
                have windows of histories as users.
        """
        at_least(1, curve_window=curve_window)
        if not 0 < fading <= 1:
            raise InputError(f"fading {fading}: give a factor > 0 and <= 1")
        if model.feedback != "ratings":
            raise InputError(f"stream: errors of ratings are judged, and model.feedback is {model.feedback}")
        if self.world_size > 1:
            raise InputError(f"stream: {self.world_size} processes; events stand in one, give --trainer.devices=1")
        model.modes, model.how = modes, Adaptation(window, half_life, half_life_in, continue_steps)
        _require_seconds(datamodule, half_life_in)
        datamodule.who = who
        [columns] = self.predict(model, datamodule=datamodule, ckpt_path=ckpt_path) or [{}]
        table = _frame(columns, datamodule)  # type: ignore[arg-type]
        settings = model.how.__dict__ | {"who": who, "continue_steps": model.how.steps}
        del settings["steps"]
        _write(self, table, datamodule, settings, Curves(curve_window, fading))


class StreamCLI(MetarecCLI):
    """The command line of `metarec stream`."""

    module, data, trainer_kind = StreamModule, StreamData, StreamTrainer

    @staticmethod
    def subcommands() -> dict[str, set[str]]:
        """One, and the arguments that it does not take from the command line."""
        return {"stream": {"model", "datamodule"}}

    def writers(self) -> list[Callback]:
        """None: the trainer writes what comes out."""
        return []


def run(arguments: list[str]) -> None:
    """Run ``metarec stream`` with the given command line."""
    run_training(arguments, kind=StreamCLI)


def _unchanged(batch: Any) -> Any:
    return batch


def _require_seconds(data: EpisodeDataModule, half_life_in: str) -> None:
    """Refuse ages in days of times that are no seconds."""
    if half_life_in == "days" and data.ratings.time.max() < EARLIEST:
        raise InputError(f"half_life_in days: the times of {data.ratings.name} are no seconds; give events")


def _frame(columns: Columns, data: EpisodeDataModule) -> pd.DataFrame:
    """The events with original ids, in global time order."""
    table = pd.DataFrame({name: column.numpy() for name, column in columns.items()})
    for name, ids in (("user", data.ratings.user_ids), ("item", data.ratings.item_ids)):
        table[name] = np.asarray(ids, dtype=object)[table[name]]
    return table


def _write(
    trainer: Trainer, table: pd.DataFrame, data: EpisodeDataModule, settings: dict[str, Any], curves: Curves
) -> None:
    """Write the three files, tell W&B, and print what came out."""
    folder = Path(trainer.default_root_dir)
    cut = int(data.ratings.time[data.split.known].max())
    trained = {data.ratings.item_ids[item] for item in np.unique(data.ratings.item[data.split.known])}
    found = {
        "metarec": __version__,
        "data": {"name": data.ratings.name, "digest": data.ratings.digest},
        "split": {"digest": data.split.digest},
        "settings": settings,
        "scored": scored_of(data.ratings, data.split, settings["who"]),
        "on_items_without_training_rating": int((~table["item"].isin(trained)).sum()),
        **summary(table, cut, curves),
    }
    with replacing(folder / "stream.parquet") as temporary:
        table.to_parquet(temporary, index=False)
    drawn = draw(table, found, curves, folder / "stream.png")
    write_json(folder / "stream.json", found)
    for run in runs(trainer):
        _chart(run, table, curves, found)
    print(f"{found['events']} events of {found['users']} users, {found['later_than_training']} later than training")
    for mode, values in found["modes"].items():
        low, high = values["user_mae"]["low"], values["user_mae"]["high"]
        print(
            f"{mode:>10}  MAE {values['mae']:.4f}  RMSE {values['rmse']:.4f}  "
            f"mean over users {values['user_mae']['mean']:.4f} [{low:.4f}, {high:.4f}]"
        )
    print(f"written: stream.parquet, stream.json{', stream.png' if drawn else ''} in {folder}")
    if not drawn:
        print("no picture: matplotlib is missing; pip install 'metarec[figures]'")


def _chart(run: Any, table: pd.DataFrame, curves: Curves, found: dict[str, Any]) -> None:
    """A chart of the fading curves, a line a mode, and the means, in W&B."""
    import wandb

    points = np.array(found["curves"]["event"]) - 1
    modes = modes_of(table)
    lines = [list(curve(table, mode, curves)["fading_mae"][points]) for mode in modes]
    chart = wandb.plot.line_series(
        xs=[int(number) for number in points + 1],
        ys=lines,
        keys=modes,
        title="stream: fading MAE",
        xname="events",
    )
    run.log({"stream/fading_mae": chart})
    run.summary.update({f"stream/{mode}/mae": found["modes"][mode]["mae"] for mode in modes})
