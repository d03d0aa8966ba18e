"""What weights have seen: which other splits they may be judged on, and which training may go on from them."""

from typing import Any

import torch

from metarec import checkpoint
from metarec.data.datamodule import EpisodeDataModule
from metarec.errors import InputError

Seen = dict[str, Any]
"""What a checkpoint notes: digests of data and split, of the rows learned from, and the last of their times."""


def seen(data: EpisodeDataModule) -> Seen:
    """What weights trained with this data have seen.

    Args:
        data: the data of the fit.

    Returns:
        `data`, `split` and `learned`, digests of the data set, the whole split and its training and validation rows,
        and `until`, the last time among these; null: the data set has no times.
    """
    split, time = data.split, data.given.time
    until = max(int(time[rows].max()) for rows in (split.known, split.val)) if data.given.timed else None
    return {"data": data.ratings.digest, "split": split.digest, "learned": split.learned, "until": until}


def may_judge(noted: Seen | None, data: EpisodeDataModule) -> bool:
    """Whether weights may be judged on a split: their own, or one that differs in its test alone.

    Such a test has none of the rows that they were trained or chosen on: stages of a split share none.

    Args:
        noted: what their checkpoint notes.
        data: the data to judge on.
    """
    own = seen(data)
    if noted is None or noted["data"] != own["data"]:
        return False
    return bool(noted["split"] == own["split"] or noted.get("learned") == own["learned"])


def start_from(algorithm: torch.nn.Module, path: str, data: EpisodeDataModule) -> None:
    """Take over the parameters of a checkpoint, from which training then goes on with a fresh optimizer.

    Buffers, such as the mean rating and who is known, stay to be prepared from the data of this fit.

    Args:
        algorithm: of the module that the checkpoint is of.
        path: the checkpoint, which may be loaded safely.
        data: the data of the fit to come.

    Raises:
        InputError: another model, other data, weights that may have seen this fit's validation or test ratings, or a
            scale or ranges that nobody gave, which that training found among other ratings than this one.
    """
    content = checkpoint.read(path)
    noted, starts = content["metarec"], data.split.starts
    if noted["data"] != data.ratings.digest:
        raise InputError(f"start_from {path}: trained on other data; give weights of the same data set")
    if starts is None or noted.get("until") is None or noted["until"] >= starts[0]:
        raise InputError(
            f"start_from {path}: may have seen what validates here; give weights of an earlier time, as the scenario "
            "metarec.data.periods.Period makes them"
        )
    if data.given.unsettled:
        found = ", ".join(data.given.unsettled)
        raise InputError(f"start_from {path}: its training found {found} among earlier ratings; give them in the data")
    saved = {name.removeprefix("algorithm."): value for name, value in content["state_dict"].items()}
    checkpoint.require_weights(
        saved, algorithm.named_parameters(), f"start_from {path}", "give it the same net and algorithm"
    )
    with torch.no_grad():
        for name, value in algorithm.named_parameters():
            value.copy_(saved[name])
