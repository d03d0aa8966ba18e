"""Weights may go on to later time and be judged on tests they have not seen, and nowhere else."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from metarec.checkpoint import FORMAT
from metarec.data.datamodule import EpisodeDataModule
from metarec.data.periods import Period
from metarec.data.ratings import FoundScale, Ratings
from metarec.data.splits import UserCold
from metarec.errors import InputError
from metarec.provenance import may_judge, seen, start_from


def data(ratings: Ratings, period: int, train: Any) -> EpisodeDataModule:
    return EpisodeDataModule(ratings, Period(4, period, train, min_ratings=1, train_min_ratings=1), "time")


def saved(path: Path, model: nn.Module, noted: dict[str, Any]) -> str:
    weights = {f"algorithm.{name}": value + 1 for name, value in model.state_dict().items()}
    rest = {"epoch": 0, "global_step": 1, "pytorch-lightning_version": "2.6.6"}
    torch.save({"metarec": {"format": FORMAT, **noted}, "state_dict": weights, **rest}, path)
    return str(path)


def test_frozen_weights_may_be_judged_on_every_later_period(ratings: Ratings) -> None:
    noted = seen(data(ratings, 1, "first"))
    assert all(may_judge(noted, data(ratings, period, "first")) for period in (1, 2, 3))
    assert not may_judge(noted, data(ratings, 2, "all"))
    assert not may_judge(seen(data(ratings, 3, "all")), data(ratings, 2, "all"))
    assert not may_judge(None, data(ratings, 1, "first"))
    assert not may_judge({**noted, "data": "f" * 64}, data(ratings, 1, "first"))


def test_a_random_split_must_be_the_same(ratings: Ratings) -> None:
    first, other = (EpisodeDataModule(ratings, UserCold(seed=seed)) for seed in (0, 1))
    assert may_judge(seen(first), first)
    assert not may_judge(seen(first), other)


def test_training_goes_on_from_earlier_weights_alone(ratings: Ratings, tmp_path: Path) -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    before = {name: value.clone() for name, value in model.state_dict().items()}
    path = saved(tmp_path / "a.ckpt", model, seen(data(ratings, 1, "first")))
    start_from(model, path, data(ratings, 2, "last"))
    parameters = dict(model.named_parameters())
    for name, value in model.state_dict().items():  # buffers stay
        assert torch.equal(value, before[name] + 1 if name in parameters else before[name])


@pytest.mark.parametrize("period", [2, 3])
def test_weights_that_may_have_seen_what_validates_are_refused(ratings: Ratings, tmp_path: Path, period: int) -> None:
    model = nn.Linear(2, 2)
    path = saved(tmp_path / "a.ckpt", model, seen(data(ratings, period, "all")))
    with pytest.raises(InputError, match="may have seen what validates here"):
        start_from(model, path, data(ratings, 2, "last"))
    with pytest.raises(InputError, match="may have seen"):
        start_from(model, path, EpisodeDataModule(ratings, UserCold()))


def test_weights_that_have_seen_the_very_time_at_which_validation_begins_are_refused(
    ratings: Ratings, tmp_path: Path
) -> None:
    model, later = nn.Linear(2, 2), data(ratings, 2, "last")
    begins = later.split.starts[0]
    noted = seen(data(ratings, 1, "first"))
    start_from(model, saved(tmp_path / "a.ckpt", model, {**noted, "until": begins - 1}), later)
    with pytest.raises(InputError, match="may have seen what validates here"):
        start_from(model, saved(tmp_path / "b.ckpt", model, {**noted, "until": begins}), later)


def test_weights_of_other_data_or_another_model_are_refused(ratings: Ratings, tmp_path: Path) -> None:
    noted, later = seen(data(ratings, 1, "first")), data(ratings, 2, "last")
    path = saved(tmp_path / "a.ckpt", nn.Linear(2, 2), noted)
    with pytest.raises(InputError, match="does not fit the model"):
        start_from(nn.Linear(2, 3), path, later)
    path = saved(tmp_path / "b.ckpt", nn.Linear(2, 2), {**noted, "data": "f" * 64})
    with pytest.raises(InputError, match="trained on other data"):
        start_from(nn.Linear(2, 2), path, later)


def test_what_the_earlier_training_found_is_not_what_this_one_finds(ratings: Ratings, tmp_path: Path) -> None:
    own = dataclasses.replace(ratings, scale=FoundScale(1, 5))
    path = saved(tmp_path / "a.ckpt", nn.Linear(2, 2), seen(data(own, 1, "first")))
    with pytest.raises(InputError, match="its training found the scale among earlier ratings; give them in the data"):
        start_from(nn.Linear(2, 2), path, data(own, 2, "last"))
