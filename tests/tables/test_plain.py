import csv
import dataclasses
import io
import json

from metarec.tables.plain import FIELDS, as_csv, as_json
from tests.tables.by_hand import TABLE


def test_csv_has_a_line_a_method_and_column() -> None:
    lines = list(csv.DictReader(io.StringIO(as_csv(TABLE))))
    assert tuple(lines[0]) == FIELDS
    assert len(lines) == 2 * 5
    assert lines[0] == {
        **{"method": "chance", "trivial": "True", "column": "mae", "mean": "1.25", "low": "1.2", "high": "1.3004"},
        **{"bold": "False", "tasks": "50", "missing": "0", "seeds": "2"},
    }
    hidden = next(line for line in lines if line["column"] == "gain in rmse")
    assert (hidden["mean"], hidden["missing"]) == ("-0.0001", "1")
    assert [line["method"] for line in lines if line["bold"] == "True"] == ["a|b_c"]
    assert lines[1]["mean"] == lines[1]["low"] == ""


def test_json_holds_everything() -> None:
    content = json.loads(as_json(TABLE))
    assert content == dataclasses.asdict(TABLE)
    assert content["rows"][1]["cells"]["mae"]["bold"] is True
