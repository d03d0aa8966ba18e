"""Scores of all events of a stream, each by what its user has said before it, many events at once.

Users do not interact, since the meta-model is frozen: an event and what its user has said before it are a task of their
own. Events with equally much to adapt to stand in one batch, whoever's they are and whenever they happened. Which
events stand together depends on how many each user has, and at no time on items or ratings: what a later rating says,
or of which item, cannot reach an earlier score, not even by rounding, where an algorithm computes task by task.
"""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from metarec.algorithms.base import Algorithm
from metarec.data.tasks import Rows
from metarec.errors import DivergedError, InputError
from metarec.streaming.events import Events
from metarec.streaming.modes import MODES, Adaptation, Mode, adapt_weighted, begin, go_on, possible

ROWS = 8192
"""Most rows in a batch, what is adapted to and what is scored together; see `metarec.recommend.memory.ROWS`."""


@torch.no_grad()
def replay(
    algorithm: Algorithm, events: Events, modes: Sequence[Mode] = MODES, how: Adaptation | None = None, rows: int = ROWS
) -> dict[str, Tensor]:
    """Predicted ratings of all events, before each is learned from.

    Args:
        algorithm: the meta-model, in evaluation mode; it stays as it is.
        events: the stream.
        modes: how to adapt; `zero_shot` is always there.
        how: what the modes need to know.
        rows: most rows in a batch; 1: event by event.

    Returns:
        By mode, (N,), in the order of `events`; NaN for what is not scored.

    Raises:
        InputError: an algorithm has no such mode.
        DivergedError: a prediction is not finite.
    """
    how = how or Adaptation()
    for mode in modes:
        if reason := possible(algorithm, mode):
            raise InputError(f"{mode}: {reason}")
    found = {"zero_shot": _zero_shot(algorithm, events, rows)}
    for mode in modes:
        prediction = found["zero_shot"].clone()  # which is what users are scored by who have said nothing
        if mode == "continue":
            _fill_by_steps(algorithm, events, prediction, how)
        else:
            _fill(algorithm, events, prediction, mode, how, rows)
        found[mode] = prediction
    for name, prediction in found.items():
        odd = int((~prediction[events.scored].isfinite()).sum())
        if odd:
            raise DivergedError(
                f"{name}: {odd} predictions are not finite; lower the algorithm's inner_lr, or its steps"
            )
    return found


def _zero_shot(algorithm: Algorithm, events: Events, rows: int) -> Tensor:
    """Predictions of the meta-model as it is."""
    found = torch.full_like(events.rating, torch.nan)
    for part in torch.split(torch.nonzero(events.scored).squeeze(1), max(1, rows)):
        task = events.user[events.owner[part]]
        found[part] = algorithm.predict({}, task, events.item[part, None]).squeeze(1).to(found.dtype)
    return found


def _fill(algorithm: Algorithm, events: Events, prediction: Tensor, mode: Mode, how: Adaptation, rows: int) -> None:
    """Put in the predictions of models that adapt anew before each event."""
    length = events.seen.clamp(max=how.window) if mode == "window" else events.seen
    for part in batches(torch.where(events.scored, length, 0), rows):
        place, mask = _before(events, part, length[part])
        task, item = events.user[events.owner[part]], events.item[part, None]
        item_before, rating = (column[place].masked_fill(~mask, 0) for column in (events.item, events.rating))
        support = Rows(item_before, rating, mask)
        if mode == "decay":
            weight = how.weights(length[part], events.time[place], events.time[part], mask)
            found = algorithm.predict(adapt_weighted(algorithm, task, support, weight), task, item)
        else:
            found = algorithm.adapted(task, support, item)
        prediction[part] = found.squeeze(1).to(prediction.dtype)


def batches(length: Tensor, rows: int = ROWS) -> Iterator[Tensor]:
    """Numbers of the events with something to adapt to, those with as much together.

    Args:
        length: how many ratings each event adapts to, (N,); those with 0 are left out.
        rows: most rows in a batch, padding and the scored one included, unless one event has more.

    Yields:
        Numbers in ascending order of length, (E,).
    """
    order = torch.nonzero(length).squeeze(1)
    order = order[length[order].argsort(stable=True)]
    sizes = (length[order] + 1).cpu().numpy()
    start = 0
    while start < len(sizes):  # over batches
        stop = start + max(1, rows // int(sizes[start]))
        fits = torch.arange(1, len(sizes[start:stop]) + 1).numpy() * sizes[start:stop] <= rows
        stop = start + max(1, int(fits.sum()))
        yield order[start:stop]
        start = stop


def _before(events: Events, part: Tensor, length: Tensor) -> tuple[Tensor, Tensor]:
    """Numbers of the last `length` ratings that each event has seen, in time order, and which are real; both (E, S)."""
    columns = torch.arange(int(length.max()), device=length.device)
    stop = events.offset[events.owner[part]] + events.seen[part]
    mask = columns < length.unsqueeze(1)
    place = (stop - length).unsqueeze(1) + columns
    return place.clamp(max=len(events.item) - 1), mask


def _fill_by_steps(algorithm: Algorithm, events: Events, prediction: Tensor, how: Adaptation) -> None:
    """Put in the predictions of fast weights that go on: the n-th step of all users at once."""
    sizes = events.offset.diff()
    user = sizes.argsort(descending=True, stable=True)  # those who go on furthest come first
    width = int(sizes.max())
    columns = torch.arange(width, device=sizes.device)
    place = (events.offset[user].unsqueeze(1) + columns).clamp(max=len(events.item) - 1)
    mask = columns < sizes[user].unsqueeze(1)
    item = events.item[place].masked_fill(~mask, 0)
    task, fast = events.user[user], begin(algorithm, events.user[user], item)
    asked = torch.where(mask & events.scored[place], events.seen[place], -1)
    going = mask.sum(dim=0).tolist()
    for step in range(1, width):
        active, column = going[step], slice(step - 1, step)  # whoever has a rating after this one
        fast = {name: weight[:active] for name, weight in fast.items()}
        new = Rows(item[:active, column], events.rating[place[:active, column]], mask[:active, column])
        fast = go_on(algorithm, fast, task[:active], new, how.steps)
        row, where = torch.nonzero(asked[:active] == step, as_tuple=True)
        if len(row):
            each = {name: weight[row] for name, weight in fast.items()}
            found = algorithm.predict(each, task[row], item[row, where, None])
            prediction[place[row, where]] = found.squeeze(1).to(prediction.dtype)
