"""Pieces of HTML: everything from outside is escaped, and tables keep their cells."""

import base64
import re
import xml.etree.ElementTree as ET

from hypothesis import given
from hypothesis import strategies as st

from metarec.page import elements

ODD = "<script>alert(\"1\")</script> & 'x'"


@given(st.text(alphabet=st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"])))
def test_whatever_is_written_is_read_back(content: str) -> None:
    html = (
        elements.paragraph(content)
        + elements.table([content], [[content, content]])
        + elements.code(f"x{content}x")
        + elements.details(content, elements.listed([(content, content)]))
        + elements.figure("<svg/>", content)
    )
    tree = ET.fromstring("<body>" + re.sub("<img([^>]*)>", r"<img\1/>", html) + "</body>")
    assert (tree.find("p").text or "") == content
    assert {cell.text or "" for cell in [*tree.iter("td"), *tree.iter("summary"), *tree.iter("dd")]} == {content}
    assert tree.find(".//code").text == f"x{content}x"
    assert tree.find(".//img").get("alt") == content


def test_nothing_becomes_markup() -> None:
    html = "".join(
        [
            elements.paragraph(ODD, ODD),
            elements.table([ODD], [[ODD]], ODD),
            elements.code(ODD),
            elements.details(ODD, ""),
            elements.section(ODD, ODD, ""),
            elements.figure("<svg/>", ODD),
            elements.of_markdown(f"{ODD}\n\n| {ODD} |\n| --- |\n| {ODD} |"),
        ]
    )
    assert "<script" not in html


def test_a_markdown_table() -> None:
    html = elements.of_markdown(
        "About\nit.\n\n| a | b |\n| --- | ---: |\n| one | 1 [0, 2] |\n| two | - |", marked="two"
    )
    tree = ET.fromstring(f"<body>{html}</body>")
    assert tree.find("p").text == "About it."
    assert [[cell.text for cell in row] for row in tree.iter("tr")] == [["a", "b"], ["one", "1 [0, 2]"], ["two", "-"]]
    assert [row.get("class") for row in tree.iter("tr")] == [None, None, "marked"]


def test_pictures_travel_inside() -> None:
    html = elements.figure('<svg id="a">ü</svg>', "what")
    [data] = re.findall(r'src="data:image/svg\+xml;base64,([^"]+)"', html)
    assert base64.b64decode(data).decode("utf-8") == '<svg id="a">ü</svg>'
