"""Repeated pairs, with pandas as the oracle."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metarec.data.own.repeats import repeated, settle

ROWS = st.lists(
    st.tuples(st.integers(1, 4), st.integers(1, 4), st.integers(1, 10), st.integers(0, 3)), min_size=1, max_size=40
)


def table(rows):
    frame = pd.DataFrame(rows, columns=["user", "item", "rating", "time"])
    return frame.astype({"user": "int32", "item": "int32", "rating": "float32"})


def settled(frame, policy, timed=True):
    rating = frame["rating"].to_numpy(copy=True)
    pairs = [frame[name].to_numpy() for name in ("user", "item")]
    rows = repeated(*pairs)
    if not len(rows):
        return frame
    stays = settle(rows, *pairs, rating, frame["time"].to_numpy() if timed else None, policy)
    return frame.assign(rating=rating)[stays]


@settings(deadline=None, max_examples=50)
@given(ROWS)
def test_repeated_rows_are_those_of_pairs_that_come_again(rows):
    frame = table(rows)
    expected = frame[frame.duplicated(["user", "item"], keep=False)]
    expected = expected.sort_values(["user", "item"], kind="stable").index.tolist()
    assert repeated(frame["user"].to_numpy(), frame["item"].to_numpy()).tolist() == expected


@settings(deadline=None, max_examples=50)
@given(ROWS)
def test_the_last_in_the_file_stays_without_times(rows):
    frame = table(rows)
    assert settled(frame, "last", timed=False).equals(frame.drop_duplicates(["user", "item"], keep="last"))


@settings(deadline=None, max_examples=50)
@given(ROWS)
def test_the_last_in_time_stays_and_of_equal_times_the_last_in_the_file(rows):
    frame = table(rows)
    ordered = frame.sort_values("time", kind="stable").drop_duplicates(["user", "item"], keep="last")
    assert settled(frame, "last").equals(ordered.sort_index())


@settings(deadline=None, max_examples=50)
@given(ROWS, st.randoms(use_true_random=False))
def test_the_mean_takes_all_and_does_not_depend_on_the_order(rows, random):
    frame = table(rows)
    found = settled(frame, "mean").set_index(["user", "item"]).sort_index()
    groups = frame.astype({"rating": "float64"}).groupby(["user", "item"])
    assert found["rating"].to_numpy() == pytest.approx(groups["rating"].mean().to_numpy())
    assert found["time"].tolist() == groups["time"].max().tolist()
    random.shuffle(rows)
    again = settled(table(rows), "mean").set_index(["user", "item"]).sort_index()
    assert np.array_equal(found.to_numpy(), again.to_numpy())
