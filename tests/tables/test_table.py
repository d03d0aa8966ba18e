import doctest

import pytest

from metarec.tables import latex, table
from metarec.tables.table import Cell, number_and_interval
from tests.tables.by_hand import TABLE


@pytest.mark.parametrize("module", [table, latex])
def test_doc_examples(module: object) -> None:
    result = doctest.testmod(module)
    assert result.attempted
    assert not result.failed


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        (Cell(), ("", "")),
        (Cell(-0.0004, -0.25, 0.0001), ("0.000", "[-0.250, 0.000]")),
        (Cell(0.0), ("0.000", "")),
        (Cell(0.0006), ("0.001", "")),
        (Cell(0.0004), ("<0.001", "")),
        (Cell(-0.0004), ("0.000", "")),
        (Cell(0.3, digits=0), ("<1", "")),
        (Cell(12.6, digits=0), ("13", "")),
        (Cell(0.7854, digits=4), ("0.7854", "")),
        (Cell(0.0004, 0.0003, 0.0005), ("0.000", "[0.000, 0.001]")),
    ],
)
def test_numbers(cell: Cell, text: tuple[str, str]) -> None:
    assert number_and_interval(cell) == text


def test_columns_for_reading() -> None:
    assert [column.name for column in TABLE.shown] == ["mae", "printed mae", "p (mae)", "fit s"]
