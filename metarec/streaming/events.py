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
        who: `test`: all ratings of the split's test tasks; what trained or validated of these users is learned from,
            not scored. `all`: all ratings of the data set, whoever gave them, from the moment on that the test begins,
            if the split is by time, else those later than the last training rating that did not validate: on what
            validated, the weights were chosen. All else that these users said is learned from, not scored.

    Raises:
        InputError: the data set has no times, users are windows of histories, or nothing is left to stream.
    """
    if ratings.person is not None:
        raise InputError(
            f"stream: {ratings.name} has windows of histories as users, so that a person would be forgotten at the end "
            "of each; leave metarec.data.windows out of data.ratings"
        )
    if not ratings.timed:
        raise InputError(f"stream: {ratings.name} has no times, so that nothing says what came first; use timed data")
    if who == "test":
        before = np.union1d(split.known, split.val)
        before = before[np.isin(ratings.user[before], ratings.user[split.test])]
        rows = np.union1d(split.test, before)
        return _packed(ratings, rows, np.isin(rows, split.test))
    later = _later(ratings, split)
    if not later.any():
        raise InputError(
            f"stream: no rating is later than the last training rating (time {_last(ratings, split)}), but for those "
            "that validated; take a scenario that cuts by time, or --who=test"
        )
    rows = np.flatnonzero(np.isin(ratings.user, ratings.user[later]))
    return _packed(ratings, rows, later[rows])


def scored_of(ratings: Ratings, split: Split, who: Who) -> str:
    """What `stream_of` scores, in words."""
    if who == "test":
        return "the ratings of the test tasks"
    if split.starts is not None:
        return f"all ratings from time {split.starts[1]} on, when the test begins"
    last = _last(ratings, split)
    return f"all ratings later than the last training rating (time {last}), without those that validated"


def _later(ratings: Ratings, split: Split) -> BoolArray:
    """Which ratings neither trained nor chose the weights, and are later than what trained, (N,)."""
    if split.starts is not None:
        return ratings.time >= split.starts[1]
    later = ratings.time > _last(ratings, split)
    later[split.val] = False
    return later


def _last(ratings: Ratings, split: Split) -> int:
    """Time of the last training rating."""
    return int(ratings.time[split.known].max())


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
