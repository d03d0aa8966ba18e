"""The events of a stream: ratings in the order of time, and what each user has said before each of them."""

from typing import Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

from metarec.data.ratings import BoolArray, IntArray, Ratings
from metarec.data.scenario import Split
from metarec.errors import InputError

Who = Literal["test", "all"]


class Events(NamedTuple):
    """Ratings of U users in compressed rows, each user's in the order of time, ties by item.

    An event has seen those of its user's ratings that are **strictly earlier**. Ratings of one user with one time do
    not see each other: nothing tells which came first.

    Attributes:
        user: user row of each user, ascending, (U,).
        offset: where each user's ratings begin, and the end, (U + 1,).
        owner: position in `user` of each rating's user, (N,).
        item: item rows, (N,).
        rating: values, (N,).
        time: in the data set's unit, (N,).
        seen: how many of the user's ratings are strictly earlier, (N,).
        scored: False for what is only learned from, such as what a known user said before the stream, (N,).
    """

    user: Tensor
    offset: Tensor
    owner: Tensor
    item: Tensor
    rating: Tensor
    time: Tensor
    seen: Tensor
    scored: Tensor

    def to(self, device: torch.device) -> "Events":
        """The same on a device."""
        return Events(*(column.to(device) for column in self))

    def in_time(self) -> Tensor:
        """Numbers of the scored events in global time order, (E,): by time, then by user, then by item."""
        order = np.lexsort((self.item.cpu(), self.user[self.owner].cpu(), self.time.cpu()))
        return torch.from_numpy(order[self.scored.cpu().numpy()[order]]).to(self.item.device)


def stream_of(ratings: Ratings, split: Split, who: Who = "test") -> Events:
    """The stream of a split.

    Args:
        ratings: the data set.
        split: which ratings were trained on, and which are of test users.
        who: `test`: all ratings of the split's test tasks. `all`: all ratings of the data set, whoever gave them, that
            are later than the last training rating; what these users said before is learned from, not scored.

    Raises:
        InputError: the data set has no times, or nothing is left to stream.
    """
    if not ratings.timed:
        raise InputError(f"stream: {ratings.name} has no times, so that nothing says what came first; use timed data")
    if who == "test":
        return _packed(ratings, split.test, np.ones(len(split.test), dtype=np.bool_))
    last = ratings.time[split.train].max()
    later = ratings.time > last
    if not later.any():
        raise InputError(
            f"stream: no rating is later than the last training rating (time {last}); take a scenario that cuts by "
            "time, or --who=test"
        )
    rows = np.flatnonzero(np.isin(ratings.user, ratings.user[later]))
    return _packed(ratings, rows, later[rows])


def _packed(ratings: Ratings, rows: IntArray, scored: BoolArray) -> Events:
    """The given rows as a stream, whatever order they come in."""
    order = np.lexsort((ratings.item[rows], ratings.time[rows], ratings.user[rows]))
    rows, scored = rows[order], scored[order]
    user, owner, size = np.unique(ratings.user[rows], return_inverse=True, return_counts=True)
    offset = np.append(0, size.cumsum())
    time, number = ratings.time[rows], np.arange(len(rows))
    first = np.append(True, (owner[1:] != owner[:-1]) | (time[1:] != time[:-1]))
    seen = np.maximum.accumulate(np.where(first, number, 0)) - offset[owner]
    columns = (user, offset, owner, ratings.item[rows], ratings.rating[rows], time, seen, scored)
    return Events(*(torch.from_numpy(np.ascontiguousarray(column)) for column in columns))
