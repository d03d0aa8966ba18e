"""The fragment is parsed as XML: every tag is closed, and what is not markup is escaped."""

from dataclasses import replace
from xml.etree import ElementTree

import pytest

from metarec.tables.html import as_html
from tests.tables.by_hand import TABLE


@pytest.fixture
def figure() -> ElementTree.Element:
    return ElementTree.fromstring(as_html(TABLE))


def test_it_is_one_fragment_that_needs_nothing_else(figure: ElementTree.Element) -> None:
    assert (figure.tag, figure.get("id")) == ("figure", "small")
    assert {child.tag for child in figure} == {"style", "p", "figcaption", "table"}
    assert not [element for element in figure.iter() if {"src", "href", "onclick"} & set(element.attrib)]
    assert "@import" not in as_html(TABLE)
    assert "url(" not in as_html(TABLE)


def test_texts_read_as_they_were_written(figure: ElementTree.Element) -> None:
    assert figure.findtext("figcaption") == TABLE.caption
    assert [paragraph.text for paragraph in figure.findall("p")] == [*TABLE.warnings, TABLE.foot]


def test_names_are_escaped_too() -> None:
    row = replace(TABLE.rows[0], method="<i>&")
    figure = ElementTree.fromstring(as_html(replace(TABLE, title='a"b', rows=[row])))
    assert figure.findtext("table/tbody/tr/th") == "<i>&"
    assert figure.get("id") == 'a"b'


def test_rows_and_cells(figure: ElementTree.Element) -> None:
    assert [head.text for head in figure.findall("table/thead/tr/th")] == [
        *("method", "mae", "printed mae", "p (mae)", "fit s")
    ]
    bodies = [[["".join(cell.itertext()) for cell in row] for row in body] for body in figure.findall("table/tbody")]
    assert bodies == [
        [["chance", "1.250 [1.200, 1.300]", "", "<0.001", "0"]],
        [["a|b_c", "0.500 [0.000, 0.750]", "0.74", "-", "1234"]],
    ]
    assert [bold.text for bold in figure.iter("b")] == ["0.500"]
