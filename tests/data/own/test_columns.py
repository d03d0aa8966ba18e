"""Values as numbers: datetime, numpy and pandas are the oracles."""

import datetime as dt

import numpy as np
import pyarrow
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metarec.data.own.columns import codes, floats, ids, ratings, require, seconds
from metarec.errors import InputError


class Lines:
    """A file whose row r stands on line r + 2."""

    name = "/data/f.csv"

    def place(self, row):
        return f"{self.name}:{row + 2}"


def column(*values, kind=None):
    return pyarrow.chunked_array([pyarrow.array(values, kind)])


def dictionary(*words):
    return pyarrow.array(words, pyarrow.string()).dictionary_encode()


@settings(deadline=None, max_examples=50)
@given(st.lists(st.lists(st.text(max_size=3), max_size=5), min_size=1, max_size=4), st.lists(st.text(max_size=3)))
def test_codes_are_places_in_sorted_order(chunks, more):
    found, every = codes([dictionary(*chunk) for chunk in chunks], more)
    words = [word for chunk in chunks for word in chunk]
    assert every == sorted({*words, *more}, key=str.encode)
    assert found.tolist() == [every.index(word) + 1 for word in words]


def test_a_missing_id_is_named():
    chunked = pyarrow.chunked_array([dictionary("a", "b"), dictionary("c", "", "d", "")])
    with pytest.raises(InputError, match=r"^/data/f.csv:15: user is missing; also f.csv:17; correct or remove them$"):
        ids(Lines(), 10, "user", chunked)
    assert len(ids(Lines(), 0, "user", pyarrow.chunked_array([dictionary("a")]))) == 1


@pytest.mark.parametrize("bad", ["nan", "inf", "-inf", "", "three", "1,5", None])
def test_a_rating_is_a_finite_number(bad):
    with pytest.raises(InputError, match=r"f\.csv:4: stars .*(is not a finite number|is missing); correct"):
        floats(Lines(), 0, "stars", column("1", "2.5", bad, "3"))
    if bad is not None:
        assert floats(Lines(), 0, "stars", column("1", " 2.5", "1e1")).tolist() == [1, 2.5, 10]


def test_a_rating_off_the_scale_is_named_with_those_that_follow():
    stars = column("1", "5", "6", "0", "9", "7", "0.999")
    message = (
        r"f\.csv:4: stars '6' is not from 1 to 5, the scale; also f\.csv:5, f\.csv:6 and 2 more; correct or remove"
    )
    with pytest.raises(InputError, match=message):
        ratings(Lines(), 0, "stars", stars, (1, 5))
    assert ratings(Lines(), 0, "stars", stars, None).max() == 9
    assert ratings(Lines(), 0, "stars", column(1.0, 2.0), (1, 5)).tolist() == [1, 2]


@settings(deadline=None, max_examples=50)
@given(
    st.lists(
        st.datetimes(dt.datetime(1900, 1, 1), dt.datetime(2200, 1, 1)).map(lambda time: time.replace(microsecond=0)),
        min_size=1,
        max_size=5,
    )
)
def test_all_units_say_the_same(times):
    expected = [int(time.replace(tzinfo=dt.UTC).timestamp()) for time in times]
    for unit, parts in (("s", 1), ("ms", 1000), ("us", 10**6)):
        texts = column(*(str(time * parts) for time in expected))
        assert seconds(Lines(), 0, "t", texts, unit).tolist() == expected
        assert seconds(Lines(), 0, "t", column(*(time * parts for time in expected)), unit).tolist() == expected
    zone = dt.timezone(dt.timedelta(hours=2))
    for texts in (
        [time.isoformat() for time in times],
        [time.isoformat(sep=" ") for time in times],
        [time.isoformat() + "Z" for time in times],
        [time.replace(tzinfo=dt.UTC).astimezone(zone).isoformat() for time in times],
    ):
        assert seconds(Lines(), 0, "t", column(*texts), "iso").tolist() == expected
    assert seconds(Lines(), 0, "t", column(*times, kind=pyarrow.timestamp("ms")), "s").tolist() == expected


def test_parts_of_a_second_are_cut_off_towards_the_past():
    assert seconds(Lines(), 0, "t", column("1.9", "-0.5", "3"), "s").tolist() == [1, -1, 3]
    assert seconds(Lines(), 0, "t", column("1999", "-1"), "ms").tolist() == [1, -1]
    assert seconds(Lines(), 0, "t", column("1969-12-31T23:59:59.5"), "iso").tolist() == [-1]
    assert seconds(Lines(), 0, "t", column("2024-05-01"), "iso").tolist() == [1_714_521_600]
    assert seconds(Lines(), 0, "t", column(dt.date(2024, 5, 1)), "ms").tolist() == [1_714_521_600]


@pytest.mark.parametrize(
    ("texts", "unit", "message"),
    [
        (["1", "soon"], "s", r"f\.csv:3: t 'soon' is not a number of s; correct"),
        (["1", ""], "ms", r"f\.csv:3: t is missing"),
        (["1", "nan"], "s", r"f\.csv:3: t 'nan' is not a number of s"),
        (["1", "1e300"], "s", r"f\.csv:3: t '1e300' is not a number of s"),
        (["2024-05-01", "2024-05-02"], "s", r"f\.csv:2: t '2024-05-01' is not a number of s; give time_unit iso"),
        (["2024-05-01", "2024-13-02"], "iso", r"f\.csv:3: t '2024-13-02' is no date such as 2024-05-01"),
        (["2024-05-01", "yesterday"], "iso", r"f\.csv:3: t 'yesterday' is no date"),
        (["2024-05-01", ""], "iso", r"f\.csv:3: t is missing"),
        (["978300760"], "iso", r"f\.csv:2: t '978300760' is no date .*; give time_unit s, ms or us for numbers"),
    ],
)
def test_what_is_no_time_is_named(texts, unit, message):
    with pytest.raises(InputError, match=message):
        seconds(Lines(), 0, "t", column(*texts), unit)


def test_null_in_parquet_is_missing():
    with pytest.raises(InputError, match="t is missing"):
        seconds(Lines(), 0, "t", column(1, None), "s")
    with pytest.raises(InputError, match="t is missing"):
        seconds(Lines(), 0, "t", column(dt.datetime(2024, 5, 1), None), "s")


def test_one_of_many_good_ones_is_found():
    good = np.ones(100, dtype=np.bool_)
    require(Lines(), 0, "c", column(*range(100)), good, "is wrong")
    good[41] = False
    with pytest.raises(InputError, match=r"^/data/f.csv:48: c '41' is wrong; correct or remove it$"):
        require(Lines(), 5, "c", column(*range(100)), good, "is wrong")
