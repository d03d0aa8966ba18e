"""Periods: the ratings cut by time into consecutive ones; trained up to one of them, tested on the next."""

from typing import Literal

import numpy as np

from metarec.data import newcomers
from metarec.data.ratings import EARLIEST, BoolArray, IntArray, Ratings
from metarec.data.scenario import Division, Scenario, Split, Tasks, assembled, refuse_windows
from metarec.errors import InputError, at_least

Train = Literal["first", "last", "all"]
"""What is trained on before the test: the first period, what is new since the last training, or everything."""

Cut = Literal["ratings", "months"]
"""Periods of equally many ratings, or of whole calendar months."""


class Period(Scenario):
    r"""Trained up to period t, tested on period t + 1: a task is a user's ratings in the period, known user or new.

    The latest ratings of each period, from :math:`v_t` on, validate. Three trainings share a test:

    * `first`: ratings before :math:`v_1`. The model of the first period, **frozen** as time goes on.
    * `last`: ratings from :math:`v_{t-1}` and before :math:`v_t`, what the training of the period before has not had.
      With ``--start_from`` that training's weights, the outer loop goes on: **fine-tuned**.
    * `all`: ratings before :math:`v_t`: **retrained** from scratch.

    `last` and `all` validate on the end of period t, `first` on that of period 1; so all three are one and the same
    for t = 1, and those trained one after the other by `last` have had every rating that `all` has, once. Nobody is
    left out for being new: users and items without a training rating are unknown to the model, and counted.

    Args:
        periods: how many periods, at least 2.
        period: t, the last one that may be learned from, from 1 to `periods` - 1; the next one is tested.
        train: `first`, `last` or `all`.
        cut: `ratings` gives each period equally many, up to ties, which stay together in the later one; `months` gives
            each as many whole calendar months (UTC), the earlier ones one more where they do not come out even.
        val_fraction: share of a period's ratings, its latest, that validate; ties as above.
        seed: of the negatives that `data.negatives` asks for; the split has no chance in it.
        min_ratings: a validation or test task with fewer ratings in its period is left out and counted.
        max_ratings: a validation or test task with more is left out and counted; null: no limit.
        train_min_ratings: the same for training tasks.
        train_max_ratings: the same for training tasks.

    Raises:
        InputError: a number is out of range.
    """

    new = ()
    by = "time"
    only_seen = False

    def __init__(
        self,
        periods: int = 6,
        period: int = 1,
        train: Train = "all",
        cut: Cut = "ratings",
        val_fraction: float = 0.2,
        seed: int = 0,
        min_ratings: int = 2,
        max_ratings: int | None = None,
        train_min_ratings: int = 2,
        train_max_ratings: int | None = None,
    ) -> None:
        super().__init__(seed, min_ratings, max_ratings, train_min_ratings, train_max_ratings)
        at_least(2, periods=periods)
        if not 1 <= period < periods:
            raise InputError(f"period {period} of {periods}: the next one is tested; give 1 to {periods - 1}")
        for name, value, known in (("train", train, ("first", "last", "all")), ("cut", cut, ("ratings", "months"))):
            if value not in known:
                raise InputError(f"{name} {value!r}: give one of {', '.join(known)}")
        self.periods, self.period, self.train, self.cut = periods, period, train, cut
        self.val_fraction = newcomers.checked_share(val_fraction)

    def __call__(self, ratings: Ratings, tasks: Tasks = "users") -> Split:
        """Split the ratings; see `Scenario`.

        Raises:
            InputError: the data set has no times, or none to cut at; users are windows of people's histories, which
                may not be split; a stage has no task.
        """
        refuse_windows(ratings, "Period")
        begins = starts_of(ratings, self.periods, self.cut)
        holds = _holds(ratings, begins, self.val_fraction)
        number = np.searchsorted(begins, ratings.time, side="right")  # period of each rating, from 1
        training = np.searchsorted(holds, ratings.time, side="right") + 1  # the first whose `last` has it, from 1
        until = 1 if self.train == "first" else self.period
        stages = {
            "train": training == until if self.train == "last" else training <= until,
            "val": (number == until) & (training > until),
            "test": number == self.period + 1,
        }
        division = Division(ratings, tasks, {})
        rows = {
            name: division.in_range(chosen, chosen, self.train_range if name == "train" else self.eval_range, name)
            for name, chosen in stages.items()
        }
        earlier = self._earlier(division, training) if self.train == "last" else np.empty(0, dtype=np.int64)
        unused = {
            "ratings after the tested period": number > self.period + 1,
            "ratings between the first period and the tested one": (number > until) & (number <= self.period),
        }
        division.left_out.update({reason: int(chosen.sum()) for reason, chosen in unused.items() if chosen.any()})
        starts = int(holds[until - 1]), int(begins[self.period])
        return assembled(division, rows, starts=starts, earlier=earlier)

    def _earlier(self, division: Division, training: IntArray) -> IntArray:
        """What the trainings by `last` of the periods before have had; counts what they left out."""
        kept, scratch = [np.empty(0, dtype=np.int64)], Division(division.ratings, division.tasks, {})
        for each in range(1, self.period):
            chosen: BoolArray = training == each
            kept.append(scratch.in_range(chosen, chosen, self.train_range, "train"))
        earlier = np.sort(np.concatenate(kept))
        missing = int((training < self.period).sum()) - len(earlier)
        if missing:
            division.left_out["ratings that earlier trainings left out"] = missing
        return earlier


def starts_of(ratings: Ratings, periods: int, cut: Cut = "ratings") -> IntArray:
    """When each period begins, in the unit of the data set's times, ascending, (periods,).

    Args:
        ratings: the data set.
        periods: how many.
        cut: equally many `ratings` in each, or whole calendar `months`.

    Raises:
        InputError: the data set has no times, times tie so that a period would be empty, or there are fewer months
            than periods, or times that are no seconds.
    """
    if not ratings.timed:
        raise InputError(f"scenario Period: {ratings.name} has no times to cut at; take another scenario")
    ordered = np.sort(ratings.time)
    shares = np.arange(periods) * len(ordered) // periods
    begins = _months(ratings, periods) if cut == "months" else ordered[shares]
    counts = np.diff(np.append(np.searchsorted(ordered, begins), len(ordered)))
    if (counts == 0).any() or (np.diff(begins) == 0).any():
        raise InputError(
            f"scenario Period: {ratings.name} in {periods} periods cut by {cut}: one would be empty; give fewer periods"
        )
    return begins


def _months(ratings: Ratings, periods: int) -> IntArray:
    """When periods of whole calendar months begin, in seconds since 1970, (periods,)."""
    if ratings.time.min() < EARLIEST:
        raise InputError(f"scenario Period: the times of {ratings.name} are no seconds since 1970; give cut: ratings")
    ends = np.array([ratings.time.min(), ratings.time.max()])
    first, last = ends.astype("datetime64[s]").astype("datetime64[M]")
    months = np.arange(first, last + 1)
    if len(months) < periods:
        raise InputError(
            f"scenario Period: {ratings.name} spans {len(months)} months, too few for {periods} periods; give fewer"
        )
    begins = np.array([part[0] for part in np.array_split(months, periods)])
    return begins.astype("datetime64[s]").astype(np.int64)


def _holds(ratings: Ratings, begins: IntArray, share: float) -> IntArray:
    """When the validation ratings of each period but the last one begin, which is tested alone, (periods - 1,)."""
    ordered = np.sort(ratings.time)
    place = np.searchsorted(ordered, begins)
    counts, place = np.diff(place), place[:-1]
    holds: IntArray = ordered[place + np.minimum(np.rint(counts * (1 - share)).astype(np.int64), counts - 1)]
    tied = np.flatnonzero(holds == ordered[place])
    if len(tied):
        raise InputError(
            f"scenario Period: the times of period {tied[0] + 1} of {ratings.name} cannot be cut so that a share "
            f"{share:g} validates; they tie; give fewer periods"
        )
    return holds
