import numpy as np
import pytest
import torch

from metarec.benchmark.setting import Setting
from metarec.data.ratings import Ratings
from metarec.data.tasks import pack


@pytest.fixture(scope="session")
def setting(movielens: Ratings) -> Setting:
    """A smoke run's setting on the real MovieLens 100K."""
    tasks = pack(movielens, np.arange(len(movielens)))
    return Setting(movielens, tasks, torch.device("cpu"), threads=1, rounds=2, quick=True)
