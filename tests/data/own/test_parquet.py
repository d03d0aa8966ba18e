import numpy as np
import pandas as pd
import pyarrow
import pytest

from metarec.data.own import parquet
from metarec.data.own.parquet import ParquetFile, is_parquet
from metarec.errors import InputError


def written(folder, **columns):
    path = folder / "f.parquet"
    pd.DataFrame(columns).to_parquet(path)
    return path


def test_ids_of_any_kind_become_strings_in_batches_of_any_size(tmp_path, monkeypatch):
    monkeypatch.setattr(parquet, "BATCH", 2)
    path = written(tmp_path, u=[3, 1, 3], w=pd.Categorical(["x", "y", "x"]), r=[1.5, None, 2.0])
    tables = list(ParquetFile(path).tables(["u", "w"], ["r"]))
    assert [len(table) for table in tables] == [2, 1]
    assert [row for table in tables for row in table.to_pylist()] == [
        {"u": "3", "w": "x", "r": 1.5},
        {"u": "1", "w": "y", "r": None},
        {"u": "3", "w": "x", "r": 2.0},
    ]
    assert all(pyarrow.types.is_dictionary(table["u"].type) for table in tables)


def test_rows_are_counted_from_one(tmp_path):
    path = written(tmp_path, u=["a"])
    assert ParquetFile(path).place(16) == f"{path} row 17"


def test_faults_are_named(tmp_path):
    path = written(tmp_path, user=[0.5], item=["a"])
    with pytest.raises(InputError, match="no column 'usr'; there are 'user', 'item'; did you mean user"):
        ParquetFile(path).require_columns(["usr"])
    with pytest.raises(InputError, match="column 'user' holds double; make it strings or whole numbers"):
        list(ParquetFile(path).tables(["user"], []))
    with pytest.raises(InputError, match="holds no row"):
        ParquetFile(written(tmp_path, user=np.array([], dtype=str)))
    with pytest.raises(InputError, match=r"cannot read .*absent"):
        ParquetFile(tmp_path / "absent.parquet")


def test_a_damaged_file_is_refused(tmp_path):
    path = written(tmp_path, user=[f"u{number}" for number in range(1000)])
    whole = path.read_bytes()
    path.write_bytes(whole[:-10])
    with pytest.raises(InputError, match=r"f\.parquet is no Parquet file, or is damaged"):
        ParquetFile(path)
    path.write_bytes(whole[:4] + bytes(500) + whole[504:])
    with pytest.raises(InputError, match=r"f\.parquet is damaged"):
        list(ParquetFile(path).tables(["user"], []))


def test_fewer_rows_than_the_file_says_are_refused(tmp_path):
    """As where the list of row groups at its end is damaged, or where it changes while it is read."""
    file = ParquetFile(written(tmp_path, user=["a", "b"]))
    written(tmp_path, user=["a"])
    with pytest.raises(InputError, match=r"f\.parquet is damaged \(its rows are not 2, as it says\)"):
        list(file.tables(["user"], []))


def test_names_tell_parquet(tmp_path):
    assert [is_parquet(tmp_path / name) for name in ("a.parquet", "a.PQ", "a.csv", "parquet")] == [1, 1, 0, 0]
