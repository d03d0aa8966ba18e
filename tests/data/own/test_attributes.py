import numpy as np
import pandas as pd
import pytest

from metarec.data import assembly
from metarec.data.own.attributes import FeatureFile, TextOptions, read
from metarec.errors import InputError
from tests.data.test_movielens import attribute

TEXT = TextOptions(",", "utf-8", '"')
FILE = "id,name,kind,words,age\nb,Bee,x,g|h, 17\na,,y,,18\nc,Sea,x,h| i |h,40.5\nd,Dee,,g,\n"


def features(folder, content=FILE, **options):
    path = folder / "items.csv"
    path.write_text(content, encoding="utf-8")
    return FeatureFile(str(path), **options)


def side(folder, ids=("a", "b", "c", "d", "new"), content=FILE, **options):
    return read(features(folder, content, **options), TEXT).side(list(ids))


def words_of(table, name, rows=5):
    return [attribute(table, name, row) for row in range(rows + 1)]


def test_every_kind_of_column_and_rows_that_are_not_listed(tmp_path):
    found = side(tmp_path, categorical=["kind"], multi_valued=["words"], numeric={"age": [18, 35]}, title="name")
    assert words_of(found.features, "kind") == ["", "y", "x", "x", "", ""]
    assert words_of(found.features, "age") == ["", "18 to 35", "below 18", "from 35", "", ""]
    assert found.features.values["words"] == ("g", "h", "i")
    assert found.features.multi_hot["words"].tolist() == [[0] * 3, [0] * 3, [1, 1, 0], [0, 1, 1], [1, 0, 0], [0] * 3]
    assert list(found.titles) == ["a", "Bee", "Sea", "Dee", "new"]


def test_ids_can_be_titles(tmp_path):
    found = side(tmp_path, categorical=["kind"], title="id")
    assert list(found.titles) == ["a", "b", "c", "d", "new"]
    assert words_of(found.features, "kind") == ["", "y", "x", "x", "", ""]


def test_a_number_of_ranges_waits_for_the_rows_that_decide_the_edges(tmp_path):
    content = "id,age\n" + "".join(f"u{age},{age}\n" for age in range(100)) + "none,\n"
    found = side(tmp_path, [*(f"u{age}" for age in range(100)), "none", "new"], content, numeric={"age": 4}).features
    assert not found.categorical
    codes = found.settled(np.arange(1, 101)).categorical["age"]
    assert np.bincount(codes).tolist() == [3, 25, 25, 25, 25]
    young = found.settled(np.arange(1, 41))
    assert young.values["age"] == ("", "below 10", "10 to 20", "20 to 30", "from 30")
    assert np.bincount(young.categorical["age"]).tolist() == [3, 10, 10, 10, 70]


def test_given_edges_make_the_same_words_whoever_is_there(tmp_path):
    found = side(tmp_path, ["a", "b"], "id,age\na,3\nb,3\n", numeric={"age": [18, 35.5]}).features
    assert found.values["age"] == ("", "below 18", "18 to 35.5", "from 35.5")


def test_many_words_become_lists(tmp_path, monkeypatch):
    monkeypatch.setattr(assembly, "CELLS", 17)
    found = side(tmp_path, multi_valued=["words"]).features
    assert found.lists["words"].tolist() == [[0, 0], [0, 0], [1, 2], [2, 3], [1, 0], [0, 0]]
    assert found.values["words"] == ("", "g", "h", "i")


def test_its_own_separator_encoding_and_parquet(tmp_path):
    path = tmp_path / "latin"
    path.write_bytes("k\tjob\n1\tcafé\n".encode("latin-1"))
    options = {"id": "k", "categorical": ["job"]}
    latin = read(FeatureFile(str(path), separator="\\t", encoding="latin-1", **options), TEXT)
    pd.DataFrame({"k": [1], "job": ["café"], "age": [3.0]}).to_parquet(tmp_path / "f.parquet")
    packed = read(FeatureFile(str(tmp_path / "f.parquet"), numeric={"age": [3]}, **options), TEXT)
    for listed in (latin, packed):
        assert words_of(listed.side(["1"]).features, "job", 1) == ["", "café"]
    assert words_of(packed.side(["1"]).features, "age", 1) == ["", "from 3"]


@pytest.mark.parametrize(
    ("content", "options", "message"),
    [
        (FILE, {"categorical": ["job"]}, r"items\.csv:1: no column 'job'; there are 'id', 'name'"),
        (FILE, {"id": "user"}, r"items\.csv:1: no column 'user'"),
        (FILE, {"numeric": {"kind": [1]}}, r"items\.csv:2: kind 'x' is not a finite number; also items\.csv:3"),
        ("id,age\na,inf\n", {"numeric": {"age": 3}}, r"items\.csv:2: age 'inf' is not a finite number"),
        (FILE, {"numeric": {"age": [35, 18]}}, r"edges \[35, 18\] of age: give growing numbers"),
        (FILE, {"numeric": {"age": []}}, r"edges \[\] of age: give growing numbers"),
        (FILE, {"numeric": {"age": 1}}, r"items\.csv: 1 ranges of age: give 2 or more, or edges"),
        (FILE, {"numeric": {"age": 3}, "categorical": ["age"]}, r"items\.csv: column 'age' is asked for twice"),
        (FILE + "a,,,,\n", {}, r"items\.csv:6: id 'a' is listed twice"),
        (FILE + ",,,,\n", {}, r"items\.csv:6: id is missing"),
        (FILE + "e,1\n", {}, r"items\.csv:6: 2 values instead of 5"),
    ],
)
def test_faults_are_named(tmp_path, content, options, message):
    with pytest.raises(InputError, match=message):
        side(tmp_path, content=content, **options)


def test_without_a_path_there_is_nothing_to_ask_for():
    assert read(FeatureFile(), TEXT) is None
    with pytest.raises(InputError, match=r"attributes \['kind', 'name'\] are asked for, but no path"):
        read(FeatureFile(categorical=["kind"], title="name"), TEXT)
