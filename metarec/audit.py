"""The leakage audit: what a fit checks before its first step, so that nothing of a test task reaches training."""

import copy
import dataclasses
import functools
import itertools
from collections.abc import Iterator
from types import EllipsisType

import numpy as np
import torch
from torch import Tensor, nn

from metarec.algorithms.base import Algorithm
from metarec.data.datamodule import EpisodeDataModule
from metarec.data.ratings import BoolArray, FeatureTable, FloatArray, IntArray, Ratings
from metarec.data.scenario import Split
from metarec.data.sources import swapped
from metarec.data.tasks import PackedTasks
from metarec.errors import LeakError

STARTS = ("validation", "the test")
"""What begins at each of `Split.starts`."""

EXTREME = 1e6
"""A number unlike those of any data set's ratings, and most attributes."""


def prepare(algorithm: Algorithm, data: EpisodeDataModule, stage: str) -> None:
    """Prepare an algorithm; stop where a rating or, before a fit, an attribute leaks.

    Ratings: `audit_split`, `audit_tasks`. Scale and ranges: `audit_settled`. Statistics: an algorithm is given
    `EpisodeDataModule.known`, in which there are no ratings but those of training. Attributes: `audited`.

    Args:
        algorithm: not prepared yet.
        data: the data.
        stage: Lightning's name of what comes: `fit`, `validate`, `test`, `predict`.

    Raises:
        LeakError: says what leaks, and how much of it.
    """
    if stage in ("fit", "test"):  # what predicts without training is only ever tested
        audit_split(data.given, data.split)
        audit_tasks(data.ratings, data.split, data.train_tasks)
        audit_settled(data)
    if stage == "fit":
        audited(algorithm, data.known, data.known_tasks)
    else:
        algorithm.prepare(data.known, data.known_tasks)


def audit_split(ratings: Ratings, split: Split) -> None:
    """Check that nothing is trained on that a validation or test task, or the future, is about.

    Args:
        ratings: the data set, as the scenario was given it.
        split: what may be done with its ratings.

    Raises:
        LeakError: a rating is both trained on or adapted to and asked for, by row or as the same pair of user and item;
            a new user or item has a training rating; a person has windows in two stages; a training rating is not
            earlier than validation, or a validation rating than the test.
    """
    known = {"training": split.known, **{f"{stage} support": rows for stage, rows in split.support.items()}}
    asked = {"val": split.val, "test": split.test}
    for name, rows in known.items():
        for stage in ("test",) if name == "test support" else asked:  # validation is over when the test comes
            _refuse(np.isin(asked[stage], rows), f"{stage} ratings are {name} ratings too")
            pairs = np.isin(_pairs(ratings, asked[stage]), _pairs(ratings, rows))
            _refuse(pairs, f"{stage} ratings are of a user and item that {name} has")
    _refuse(np.isin(split.val, split.test), "validation ratings are test ratings too")
    _audit_people(ratings, split)
    for side, new in split.new.items():
        rows = getattr(ratings, side[:-1])[split.known]
        _refuse(np.isin(new, rows), f"new {side} have training ratings")
    if split.starts is not None:
        before = ((split.known, 0), (split.val, 1), *zip(split.support.values(), (0, 1), strict=False))
        names = ("training", "validation", "val support", "test support")
        for name, (rows, start) in zip(names, before, strict=False):
            _refuse(ratings.time[rows] >= split.starts[start], f"{name} ratings are not earlier than {STARTS[start]}")


def _audit_people(ratings: Ratings, split: Split) -> None:
    """Refuse people with windows of their history in two stages."""
    if ratings.person is None:
        return
    rows = {"train": split.known, "val": split.val, "test": split.test}
    met = {stage: ratings.person[ratings.user[own]] for stage, own in rows.items()}
    for first, second in itertools.combinations(met, 2):
        _refuse(np.isin(np.unique(met[first]), met[second]), f"people have windows in {first} and {second}")


def audit_tasks(ratings: Ratings, split: Split, tasks: PackedTasks) -> None:
    """Check that the packed training tasks hold the split's training ratings, all of them and no other.

    Args:
        ratings: the data set, users being whose tasks they are.
        split: what may be done with its ratings.
        tasks: the packed training tasks.

    Raises:
        LeakError: they do not.
    """
    owner = np.repeat(tasks.task.numpy(), tasks.lengths.numpy())
    packed = _sorted(owner, tasks.item.numpy(), tasks.rating.numpy())
    allowed = _sorted(*(getattr(ratings, name)[split.train] for name in ("user", "item", "rating")))
    if not all(np.array_equal(held, own) for held, own in zip(packed, allowed, strict=True)):
        raise LeakError("the training tasks hold other ratings than the split's training ratings")


def audit_settled(data: EpisodeDataModule) -> None:
    """Check that a scale and ranges that nobody gave are those of training: far other numbers elsewhere change nothing.

    Args:
        data: the data, of which `EpisodeDataModule.ratings` has the scale and the ranges.

    Raises:
        LeakError: they would be others, had others rated otherwise, or had new users and items other numbers.
    """
    if not data.given.unsettled:
        return
    own = data.ratings if data.tasks == "users" else swapped(data.ratings)
    other = exaggerated(data.given, data.split.known).settled(data.split.known)
    if own.scale != other.scale:
        raise LeakError("the scale depends on ratings that are no training ratings; give the scale")
    for side in ("user", "item"):
        rows = np.unique(getattr(own, side)[data.split.known])
        held, there = getattr(own, f"{side}_features"), getattr(other, f"{side}_features")
        for name, codes in held.categorical.items():
            same = np.array_equal(codes[rows], there.categorical[name][rows])
            if not same or held.values[name] != there.values[name]:
                raise LeakError(f"the ranges of {name} depend on {side}s that training has not seen; give its edges")


def exaggerated(ratings: Ratings, known: IntArray) -> Ratings:
    """The data set with far higher and lower numbers for all ratings but some, and for those without one of these."""
    rating, others = ratings.rating.copy(), np.setdiff1d(np.arange(len(ratings)), known)
    rating[others] += np.where(others % 2, EXTREME, -EXTREME).astype(np.float32)
    unseen = _unseen(ratings.at(known))
    return dataclasses.replace(
        ratings,
        rating=rating,
        user_features=_exaggerated(ratings.user_features, unseen["user"]),
        item_features=_exaggerated(ratings.item_features, unseen["item"]),
    )


def _exaggerated(features: FeatureTable, rows: IntArray) -> FeatureTable:
    """The attributes with far higher and lower numbers in some rows."""
    numeric = dict(features.numeric)
    for name, each in numeric.items():
        number = each.number.copy()
        number[rows] = np.where(rows % 2, EXTREME, -EXTREME)
        numeric[name] = dataclasses.replace(each, number=number)
    return dataclasses.replace(features, numeric=numeric)


def _unseen(ratings: Ratings) -> dict[str, IntArray]:
    """By side, the rows of users and items without a rating, but for row 0."""
    sides = ("user", ratings.user_ids, ratings.user), ("item", ratings.item_ids, ratings.item)
    return {side: np.setdiff1d(np.arange(1, len(ids)), rows) for side, ids, rows in sides}


def audited(algorithm: Algorithm, known: Ratings, tasks: PackedTasks) -> None:
    """Prepare an algorithm, and check that what it holds of users and items in training tells nothing of others.

    A copy is prepared from the same training ratings, where all users and items without one have other attributes.
    What the two then hold, parameter by parameter and buffer by buffer, must be the same bit by bit; of what has a row
    for each user or item, the rows of those with a training rating.

    Args:
        algorithm: not prepared yet.
        known: the training ratings alone, with the attributes of all users and items.
        tasks: the packed training tasks.

    Raises:
        LeakError: something differs; names it.
    """
    probe = copy.deepcopy(algorithm)
    probe.prepare(poisoned(known), tasks)
    algorithm.prepare(known, tasks)
    theirs = dict(_tensors(probe))
    for name, own in _tensors(algorithm):
        rows = _known_rows(known, len(own) if own.dim() else 0)
        if not torch.equal(own[rows].nan_to_num(), theirs[name][rows].nan_to_num()):
            raise LeakError(
                f"{type(algorithm).__name__}: {name} depends on attributes of users or items that training has not seen"
            )


def poisoned(ratings: Ratings) -> Ratings:
    """The data set with other attributes for every user and item without a rating."""
    unseen = _unseen(ratings)
    return dataclasses.replace(
        ratings,
        user_features=_shifted(ratings.user_features, unseen["user"]),
        item_features=_shifted(ratings.item_features, unseen["item"]),
    )


def _shifted(features: FeatureTable, rows: IntArray) -> FeatureTable:
    """The attributes with the values of some rows moved on to the next value."""
    categorical, multi_hot, lists = dict(features.categorical), dict(features.multi_hot), dict(features.lists)
    for columns in (categorical, lists):
        for name, codes in columns.items():
            columns[name] = codes.copy()
            columns[name][rows] = (codes[rows] + 1) % len(features.values[name])
    for name, matrix in multi_hot.items():
        multi_hot[name] = matrix.copy()
        multi_hot[name][rows] = 1.0 - matrix[rows]
    return dataclasses.replace(features, categorical=categorical, multi_hot=multi_hot, lists=lists)


def _known_rows(known: Ratings, count: int) -> Tensor | EllipsisType:
    """Of a tensor with `count` rows: those of users, or items, with a rating, if that is how many there are."""
    sides = (len(known.user_ids), known.user), (len(known.item_ids), known.item)
    rows = [np.unique(column) for size, column in sides if size == count]
    if not rows:
        return ...
    return torch.from_numpy(functools.reduce(np.intersect1d, rows))


def _tensors(module: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """All that a module holds: parameters, buffers, and tensors that are plain attributes, alone or in a tuple."""
    yield from module.named_parameters()
    yield from module.named_buffers()
    for path, part in module.named_modules():
        for name, value in vars(part).items():
            for number, entry in enumerate(value if isinstance(value, tuple) else (value,)):
                if isinstance(entry, Tensor):
                    yield f"{path}.{name}.{number}", entry


def _pairs(ratings: Ratings, rows: IntArray) -> IntArray:
    """One number for each pair of user and item, shape (rows,)."""
    return ratings.user[rows] * len(ratings.item_ids) + ratings.item[rows]


def _sorted(owner: IntArray, item: IntArray, rating: FloatArray) -> tuple[IntArray | FloatArray, ...]:
    """Columns of ratings in the order of owner, item and rating."""
    order = np.lexsort((rating, item, owner))
    return owner[order], item[order], rating[order]


def _refuse(wrong: BoolArray, what: str) -> None:
    """Raise a LeakError that counts what is wrong, if anything is."""
    if wrong.any():
        raise LeakError(f"{int(wrong.sum())} {what}")
