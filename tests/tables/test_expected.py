import dataclasses

import pytest

from metarec.errors import InputError
from metarec.tables.expected import misses
from tests.folders import EXPERIMENT
from tests.tables.by_hand import TABLE


def plan(expected: dict) -> object:
    return dataclasses.replace(EXPERIMENT, expected=expected)


def test_all_as_expected() -> None:
    assert (
        misses(plan({"chance": {"mae": [1.2, 1.25], "gain in rmse": [-1, 0]}, "a|b_c": {"mae": [0.5, 0.6]}}), TABLE)
        == []
    )


def test_what_left_its_range_or_is_missing_is_named() -> None:
    expected = {
        "chance": {"mae": [0.5, 1.2], "fit s": [0, 1]},
        "a|b_c": {"mae": [0.6, 0.7], "p (mae)": [0, 1]},
        "maml": {"mae": [0, 1]},
    }
    assert misses(plan(expected), TABLE) == [
        "chance, mae: 1.2500 is not within 0.5 to 1.2",
        "a|b_c, mae: 0.5000 is not within 0.6 to 0.7",
        "a|b_c, p (mae): no result; expected 0 to 1",
        "maml, mae: no result; expected 0 to 1",
    ]


@pytest.mark.parametrize(
    ("expected", "message"),
    [
        ({}, "small: no expected ranges to check"),
        ({"chance": {"fits": [0, 1]}}, "expected.chance: no column 'fits' in the table; did you mean fit s"),
        ({"chance": {"mae": [1, 0]}}, r"expected.chance.mae: \[1, 0\] is no range"),
        ({"chance": {"mae": [1]}}, r"expected.chance.mae: \[1\] is no range"),
        ({"chance": {"mae": [float("nan"), 1]}}, "is no range"),
    ],
)
def test_wrong_expectations_are_refused(expected: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        misses(plan(expected), TABLE)
