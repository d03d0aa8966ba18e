"""A refusal is one line, whatever is named in it."""

import pytest

from metarec.errors import InputError


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a.csv:3: 'x' is no number", "a.csv:3: 'x' is no number"),
        ("cannot read a\nb\r\0.csv", r"cannot read a\nb\r\x00.csv"),
        ("Caf\u00e9 \u202e \x1b[31m", "Caf\u00e9 \\u202e \\x1b[31m"),
    ],
)
def test_what_cannot_be_printed_is_written_out(text: str, line: str) -> None:
    assert str(InputError(text)) == line
    assert str(InputError(text)).isprintable()
