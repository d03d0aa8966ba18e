import dataclasses
import logging
import re

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from metarec.data.numeric import Numeric
from metarec.data.own import store
from metarec.data.own.store import Content
from metarec.data.ratings import FoundScale, encode_lists
from metarec.errors import InputError
from tests.conftest import synthetic_ratings


def content(**changed):
    ratings = dataclasses.replace(synthetic_ratings(8, 15), name="", source="", **changed)
    lists, words = encode_lists([["p", f"q{row}"] for row in range(15)])
    table = ratings.item_features
    table = dataclasses.replace(table, lists={"actors": lists}, values={**table.values, "actors": words})
    number = np.append(np.nan, np.arange(15.0))
    table = dataclasses.replace(table, numeric={"length": Numeric(number, 3), "year": Numeric(number + 1950, 4, 2)})
    return Content(dataclasses.replace(ratings, item_features=table), ["a note"], ["a warning"])


def same(left, right):
    """Whether two values are equal in all they hold, arrays and their types included."""
    if dataclasses.is_dataclass(left):
        return all(same(getattr(left, field.name), getattr(right, field.name)) for field in dataclasses.fields(left))
    if isinstance(left, dict):
        return left.keys() == right.keys() and all(same(left[key], right[key]) for key in left)
    if isinstance(left, np.ndarray):
        return left.dtype == right.dtype and np.array_equal(left, right, equal_nan=left.dtype.kind == "f")
    return type(left) is type(right) and left == right


def test_what_is_kept_comes_back_whole(tmp_path):
    changes = {}, {"user_titles": ("", "Zo\u00eb")}, {"item_titles": ("", "x")}, {"scale": FoundScale(1, 5)}
    for kept in (content(**changed) for changed in changes):
        store.save(tmp_path / "c" / "k.npz", kept)
        assert same(store.load(tmp_path / "c" / "k.npz", "0" * 64), kept)
    assert [path.name for path in (tmp_path / "c").iterdir()] == ["k.npz"]
    assert store.load(tmp_path / "absent.npz", "0" * 64) is None


@settings(deadline=None, max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(where=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_a_changed_bit_is_noticed_or_means_nothing(tmp_path, where, bit):
    kept, path = content(), tmp_path / "k.npz"
    store.save(path, kept)
    data = bytearray(path.read_bytes())
    data[int(where * len(data))] ^= 1 << bit
    path.write_bytes(data)
    found = store.load(path, "0" * 64)
    assert found is None or same(found, kept)


def test_a_damaged_cache_is_told(tmp_path, caplog):
    path = tmp_path / "k.npz"
    store.save(path, content())
    data = path.read_bytes()
    for damaged in (b"", b"PK", data[: len(data) // 2], data[:-1], b"x" * 100):
        path.write_bytes(damaged)
        caplog.clear()
        assert store.load(path, "0" * 64) is None
        assert f"{path} is damaged; reading the files anew" in caplog.text


def test_the_cache_of_another_file_and_a_pickle_are_not_taken(tmp_path):
    path = tmp_path / "k.npz"
    store.save(path, content())
    assert store.load(path, "1" * 64) is None
    np.savez(path, texts=np.array([{"digest": "0" * 64}], dtype=object))
    assert store.load(path, "0" * 64) is None


def test_a_cache_that_cannot_be_written_stops_nothing(tmp_path, caplog):
    (tmp_path / "file").write_text("")
    store.save(tmp_path / "file" / "k.npz", content())
    assert re.search(r"cannot write the cache .*k\.npz \(.*\); set METAREC_CACHE", caplog.text)
    assert caplog.records[0].levelno == logging.WARNING


def test_content_options_and_version_make_the_key(tmp_path, monkeypatch):
    one, other = tmp_path / "one", tmp_path / "other"
    one.write_bytes(b"a")
    other.write_bytes(b"a")
    digest = store.digest_of({"ratings": one, "users": None}, {"separator": ","})
    assert store.digest_of({"ratings": other, "users": None}, {"separator": ","}) == digest
    assert store.digest_of({"ratings": one, "users": None}, {"separator": ";"}) != digest
    assert store.digest_of({"ratings": one, "users": other}, {"separator": ","}) != digest
    place = store.place(digest, str(tmp_path))
    assert (place.parent, place.suffix) == (tmp_path / "csv", ".npz")
    monkeypatch.setattr(store, "VERSION", store.VERSION + 1)
    assert store.place(digest, str(tmp_path)) != place
    other.write_bytes(b"b")
    assert store.digest_of({"ratings": other, "users": None}, {"separator": ","}) != digest
    with pytest.raises(InputError, match=r"cannot read .*absent"):
        store.digest_of({"ratings": tmp_path / "absent"}, {})
