"""The page holds what the table holds, stands alone, and is whole HTML."""

import base64
import dataclasses
import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest

from metarec.page import sections
from metarec.page.document import page
from metarec.plots.runs import Runs
from metarec.tables.markdown import as_markdown
from tests.plots.made import EXPERIMENT, LEVELS

VOID = {"meta", "img"}


class Page(HTMLParser):
    """Checks that elements are closed in order, and gathers attributes, ids and table cells."""

    def __init__(self, content: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.tables: list[list[list[str]]] = []
        self.text: list[str] = []
        self.feed(content)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("th", "td"):
            self.tables[-1][-1].append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)
        if {"th", "td"} & set(self.open):
            self.tables[-1][-1][-1] += data

    def attributes(self, name: str) -> Iterator[str]:
        return (found[name] or "" for _, found in self.tags if name in found)


@pytest.fixture(scope="module")
def parsed(html: str) -> Page:
    return Page(html)


def test_it_is_whole(html: str, parsed: Page) -> None:
    assert parsed.open == []
    ids = list(parsed.attributes("id"))
    assert len(ids) == len(set(ids))
    assert {f"#{name}" for name in ids} == set(parsed.attributes("href"))
    assert html.startswith('<!doctype html>\n<html lang="en">')
    ET.fromstring(re.sub(r"<(meta[^>]*|img[^>]*)>", r"<\1/>", html.removeprefix("<!doctype html>\n")))


def test_it_stands_alone(html: str, parsed: Page) -> None:
    """No address but data, no script, and a policy that forbids both."""
    assert not {tag for tag, _ in parsed.tags} & {"script", "link", "iframe", "object", "base", "form"}
    assert not [name for _, found in parsed.tags for name in found if name.startswith("on")]
    sources = list(parsed.attributes("src"))
    assert len(sources) == 7  # dots of two metrics, and one figure of each other kind
    assert all(source.startswith("data:image/svg+xml;base64,") for source in sources)
    assert "url(" not in html
    assert "@import" not in html
    [policy] = [found["content"] for _, found in parsed.tags if found.get("http-equiv") == "Content-Security-Policy"]
    assert "default-src 'none'" in policy
    for source in sources:
        svg = base64.b64decode(source.split(",", 1)[1]).decode("utf-8")
        assert not re.findall(r'(?:href|src)="(?!#)', svg)
        ET.fromstring(svg)


def test_its_numbers_are_those_of_the_table(runs: Runs, parsed: Page) -> None:
    lines = [line for line in as_markdown(runs.table).splitlines() if line.startswith("|")]
    cells = [[cell.strip().replace("**", "") for cell in line.strip("|").split("|")] for line in lines]
    assert parsed.tables[0] == [cells[0], *cells[2:]]
    assert len(parsed.tables[0]) == 1 + len(LEVELS)
    assert parsed.tables[1][0][:4] == ["method", "k = 0", "k = 1", "k = 3"]


def test_the_reference_is_marked(html: str) -> None:
    assert html.count('<tr class="marked"><th scope="row">bias</th>') == 2


def test_the_caption_does_not_repeat_what_is_shown(parsed: Page) -> None:
    assert "".join(parsed.text).count("A small <table>.") == 2  # above, and in the experiment's file


def test_cost_is_the_mean_over_seeds(parsed: Page) -> None:
    head, *rows = parsed.tables[2]
    cells = {row[0]: dict(zip(head, row, strict=True)) for row in rows}
    assert set(cells) == set(LEVELS)
    assert (cells["maml"]["fit s"], cells["maml"]["peak MiB"], cells["maml"]["parameters"]) == ("22", "350", "1,234")
    assert (cells["bias"]["fit s"], cells["bias"]["outer steps"], cells["bias"]["seeds"]) == ("0", "-", "2")
    assert float(cells["maml"]["ms/user"]) == pytest.approx(0.7, abs=0.02)


def test_what_a_reader_must_know_first(parsed: Page) -> None:
    text = "".join(parsed.text)
    assert text.index("Not finished for all of the seeds [0, 1]: absent.") < text.index("Results")
    assert text.index("Not as the experiment file says now: maml.") < text.index("Results")


def test_every_configuration_and_command(runs: Runs, file: Path, parsed: Page) -> None:
    text = "".join(parsed.text)
    for method in LEVELS:
        for seed in (0, 1):
            assert f"seed_everything: {seed}\nmodel: <{method}>" in text
            assert f"metarec fit --x={method}-{seed}" in text
    for command in ("run", "table", "plot", "report"):
        assert f"metarec {command} {file} --results {runs.results}" in text
    assert "metarec tune" not in text
    assert file.read_text() in text


def test_versions_and_digests(parsed: Page) -> None:
    text = "".join(parsed.text)
    for found in ("made & up", "by hand", "d" * 64, "s" * 64, "e" * 64, "2.13.0"):
        assert found in text


def test_without_shots_and_curves_it_says_so(runs: Runs, file: Path) -> None:
    few = Runs(dataclasses.replace(EXPERIMENT, methods={"item-mean": EXPERIMENT.methods["item-mean"]}), runs.results)
    html = page({"": few}, file)
    assert page({"": few}, file) == html  # nothing depends on the day
    text = "".join(Page(html).text)
    assert "Over the number of ratings" not in text
    assert "No figure k-shot: " in text
    assert "No figure learning: " in text
    assert "No figure gain: no method of ['item-mean'] changes its mae" in text
    assert f"metarec run {file}\n" in text


def test_tuned_settings_are_shown(runs: Runs, file: Path, tmp_path: Path) -> None:
    (tmp_path / "maml.yaml").write_text("# Settings of maml,\n# in 9 trials.\nmodel: tuned\n")
    tuned = Runs(dataclasses.replace(EXPERIMENT, tuned=str(tmp_path)), runs.results)
    assert "<dt>maml</dt><dd>Settings of maml, in 9 trials.</dd>" in sections.cost(tuned)
    assert "model: tuned" in sections.configuration({"": tuned}, file)
    assert f"metarec tune {file}\n" in sections.again([tuned], file, "")
