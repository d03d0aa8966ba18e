"""Ratings of one data set, with the features and the original ids of its users and items."""

import dataclasses
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from metarec.data.numeric import Numeric
from metarec.data.tags import Tags
from metarec.errors import InputError

IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float32]
BoolArray = npt.NDArray[np.bool_]

CLICKS = (0.0, 1.0)
"""The scale of implicit feedback: ratings of 1, and 0 for what was not chosen."""

EARLIEST = 10**8
"""Times below are no seconds since 1970, but ranks or the like: they fall into no month."""

UNKNOWN = ""
"""The attribute value of row 0 and of every value that is missing."""


class FoundScale(NamedTuple):
    """A scale that nobody gave: the lowest and the highest of all ratings, until `Ratings.settled`."""

    low: float
    high: float


@dataclass(frozen=True)
class FeatureTable:
    """Attributes of all users (or all items), one row each; row 0 belongs to the unknown user or item.

    Attributes:
        categorical: per attribute, the code of each row's value, shape (rows,); 0 = unknown.
        multi_hot: per attribute with several values a row, a 0/1 matrix of shape (rows, values); no column
            stands for "unknown", a row without values is all zeros.
        values: per attribute, the value that each code (categorical and lists, first one ``""``) or each column
            (multi-hot) stands for.
        lists: per attribute with many possible values, of which a row has few, the codes of each row's values, shape
            (rows, most values of a row), filled up with 0.
        numeric: attributes of numbers whose ranges are open, until `settled` makes them categorical.
    """

    categorical: dict[str, IntArray] = field(default_factory=dict)
    multi_hot: dict[str, FloatArray] = field(default_factory=dict)
    values: dict[str, tuple[str, ...]] = field(default_factory=dict)
    lists: dict[str, IntArray] = field(default_factory=dict)
    numeric: dict[str, Numeric] = field(default_factory=dict)

    def settled(self, rows: IntArray) -> "FeatureTable":
        """The same with attributes of numbers in ranges that the numbers of some rows, and no others, decide."""
        coded = {name: numeric.coded(rows) for name, numeric in self.numeric.items()}
        return dataclasses.replace(
            self,
            categorical=self.categorical | {name: codes for name, (codes, _) in coded.items()},
            values=self.values | {name: words for name, (_, words) in coded.items()},
            numeric={},
        )

    def at(self, rows: IntArray) -> "FeatureTable":
        """The attributes of some rows, in that order; a row may come again."""
        return dataclasses.replace(
            self,
            categorical={name: codes[rows] for name, codes in self.categorical.items()},
            multi_hot={name: matrix[rows] for name, matrix in self.multi_hot.items()},
            lists={name: codes[rows] for name, codes in self.lists.items()},
            numeric={name: numeric.at(rows) for name, numeric in self.numeric.items()},
        )

    @property
    def schema(self) -> dict[str, dict[str, int]]:
        """How many codes or columns each attribute has, and the length of lists if there are any, as plain numbers."""
        sizes = {
            "categorical": {name: len(self.values[name]) for name in self.categorical},
            "multi_hot": {name: len(self.values[name]) for name in self.multi_hot},
        }
        if self.lists:
            sizes["lists"] = {name: len(self.values[name]) for name in self.lists}
            sizes["longest"] = {name: codes.shape[1] for name, codes in self.lists.items()}
        return sizes


@dataclass(frozen=True)
class Ratings:
    """All ratings of a data set, one row each, in no particular order.

    Attributes:
        name: the data set, such as ``movielens-100k``.
        source: which source served it, for people to read.
        user: row in ``user_ids`` and ``user_features``, shape (N,), 1..users; 0 is the unknown user.
        item: the same for items.
        rating: the value on ``scale``, shape (N,).
        time: seconds or any other integer that grows with time, shape (N,); all 0 where the data set has no times.
        scale: lowest and highest value a rating can have; a `FoundScale` where nobody said it.
        user_ids: the id each user row has in the original files, first one ``""``.
        item_ids: the same for items.
        item_titles: what to call each item in print, first one ``""``.
        user_features: attributes, one row a user.
        item_features: attributes, one row an item.
        digest: SHA-256 that stands for the ratings: of the bytes of the file they were read from, of the digests of
            several files (`metarec.data.assembly.joint_digest`), and of what was made of these (`derived`). Weights
            are bound to it. Files that say more of users and items are in it only where the function says so.
        user_titles: what to call each user in print, first one ``""``; empty: the ids.
        part: for data sets published in parts, which of `parts` each rating belongs to, shape (N,), 0..parts - 1;
            null: there are none. `metarec.data.sources.only` takes some of them.
        parts: names of the parts.
        person: where users are windows of people's histories (`metarec.data.windows`), the row in `people` of whom each
            user row is a part, shape (users,); null: users are people.
        people: the id of each person, first one ``""``; empty where users are people.
        odd_times: one line on what is odd about the times, to be told where they are used; empty: nothing is.
        tags: what users said of items, until `settled` makes an attribute `tag` of what counts; null: nothing.
    """

    name: str
    source: str
    user: IntArray
    item: IntArray
    rating: FloatArray
    time: IntArray
    scale: tuple[float, float]
    user_ids: tuple[str, ...]
    item_ids: tuple[str, ...]
    item_titles: tuple[str, ...]
    user_features: FeatureTable
    item_features: FeatureTable
    digest: str
    user_titles: tuple[str, ...] = ()
    part: IntArray | None = None
    parts: tuple[str, ...] = ()
    person: IntArray | None = None
    people: tuple[str, ...] = ()
    tags: Tags | None = None
    odd_times: str = ""

    def __len__(self) -> int:
        return len(self.user)

    @property
    def timed(self) -> bool:
        """Whether the times tell an order: not all of them are the same."""
        return bool((self.time != self.time[:1]).any())

    def at(self, rows: IntArray) -> "Ratings":
        """The same users and items with those ratings alone; the name and the digest stay, see to them."""
        columns = {name: getattr(self, name)[rows] for name in ("user", "item", "rating", "time")}
        return dataclasses.replace(self, part=None if self.part is None else self.part[rows], **columns)

    @property
    def unsettled(self) -> list[str]:
        """What nobody gave, to be found among training ratings: the scale, ranges of attributes of numbers."""
        sides = ("user", self.user_features), ("item", self.item_features)
        ranges = [f"ranges of the {side} attribute {name}" for side, table in sides for name in table.numeric]
        return ["the scale"] * isinstance(self.scale, FoundScale) + ranges + ["tags"] * (self.tags is not None)

    def settled(self, known: IntArray) -> "Ratings":
        """The same, with what is `unsettled` found among some ratings, their users and their items, and nothing else.

        Args:
            known: row numbers of the ratings that training may know.

        Returns:
            All ratings, of which others may lie beyond the scale. The source says what was found.

        Raises:
            InputError: the scale is to be found, and all these ratings are the same.
        """
        if not self.unsettled:
            return self
        users = self.user_features.settled(np.unique(self.user[known]))
        items = self._with_tags(self.item_features.settled(np.unique(self.item[known])), known)
        scale = self._scale_of(known) if isinstance(self.scale, FoundScale) else self.scale
        found = [f"the scale {scale[0]:g} to {scale[1]:g}"] * isinstance(self.scale, FoundScale)
        for before, table in ((self.user_features, users), (self.item_features, items)):
            found += [f"{len(table.values[name]) - 1} values of {name}" for name in before.numeric]
        source = f"{self.source}; found in training: {', '.join(found)}"
        return dataclasses.replace(
            self, source=source, scale=scale, user_features=users, item_features=items, tags=None
        )

    def _with_tags(self, items: FeatureTable, known: IntArray) -> FeatureTable:
        """The attributes of items with what the users of some ratings called these items, by the time of the last."""
        if self.tags is None:
            return items
        columns = self.user[known], self.item[known], len(self.item_ids)
        matrix, words = self.tags.of(*columns, int(self.time[known].max()))
        sets, values = {**items.multi_hot, "tag": matrix}, {**items.values, "tag": words}
        return dataclasses.replace(items, multi_hot=sets, values=values)

    def _scale_of(self, known: IntArray) -> tuple[float, float]:
        """The lowest and the highest of some ratings."""
        low, high = float(self.rating[known].min()), float(self.rating[known].max())
        if low == high:
            raise InputError(
                f"every training rating of {self.name} is {low:g}, which tells no scale; give scale, such as [1, 5]"
            )
        return low, high

    @property
    def schema(self) -> dict[str, Any]:
        """What a net must know of the data, as plain numbers; counts include the unknown row 0."""
        return {
            "users": len(self.user_ids),
            "items": len(self.item_ids),
            "user_features": self.user_features.schema,
            "item_features": self.item_features.schema,
        }


def derived(digest: str, *made: object) -> str:
    """The digest of what was made of ratings.

    Args:
        digest: of the ratings.
        made: words and numbers that say what was made, such as ``"clicks", 4.0``.

    Returns:
        SHA-256 of those words and the digest between blanks.
    """
    return hashlib.sha256(" ".join(map(str, (*made, digest))).encode()).hexdigest()


def encode(values: Sequence[str]) -> tuple[IntArray, tuple[str, ...]]:
    """Code strings as whole numbers, for use as a categorical attribute.

    Args:
        values: one string a row, without row 0; ``""`` means missing.

    Returns:
        The codes with a leading 0 for row 0, shape (len(values) + 1,), and the value of each code in sorted
        order, the first one ``""``.
    """
    vocabulary = (UNKNOWN, *sorted(set(values) - {UNKNOWN}))
    code = {value: number for number, value in enumerate(vocabulary)}
    return np.array([0, *(code[value] for value in values)], dtype=np.int64), vocabulary


def encode_sets(values: Sequence[Sequence[str]]) -> tuple[FloatArray, tuple[str, ...]]:
    """Code sets of strings as a 0/1 matrix, for use as a multi-hot attribute.

    Args:
        values: the set of each row, without row 0.

    Returns:
        The matrix with a leading row of zeros, shape (len(values) + 1, distinct values), and the value of
        each column in sorted order.
    """
    vocabulary = tuple(sorted({value for row in values for value in row}))
    column = {value: number for number, value in enumerate(vocabulary)}
    matrix = np.zeros((len(values) + 1, len(vocabulary)), dtype=np.float32)
    for number, row in enumerate(values, start=1):
        matrix[number, [column[value] for value in row]] = 1.0
    return matrix, vocabulary


def encode_lists(values: Sequence[Sequence[str]]) -> tuple[IntArray, tuple[str, ...]]:
    """Code sets of strings as lists of whole numbers, which stay small however many distinct values there are.

    Args:
        values: the set of each row, without row 0.

    Returns:
        The codes of each row's values, ascending, then 0 up to the length of the longest list, >= 1, with a leading row
        of zeros, shape (len(values) + 1, longest), and the value of each code in sorted order, the first one ``""``.
    """
    vocabulary = (UNKNOWN, *sorted({value for row in values for value in row} - {UNKNOWN}))
    code = {value: number for number, value in enumerate(vocabulary)}
    coded = [sorted({code[value] for value in row} - {0}) for row in values]
    lists = np.zeros((len(values) + 1, max(map(len, coded), default=0) or 1), dtype=np.int64)
    for number, row in enumerate(coded, start=1):
        lists[number, : len(row)] = row
    return lists, vocabulary
