"""Looks that all figures share, and files that do not depend on the day."""

import importlib.util
import itertools
from pathlib import Path

import matplotlib as mpl
import pytest

from metarec.errors import InputError
from metarec.plots import style


def small() -> object:
    with style.styled():
        picture = style.blank(2.0, title="a title")
        axes = picture.subplots()
        axes.plot([1, 2], [3, 4], label="one")
        style.legend(axes)
        style.note(picture, ["A note.", "", "Another."])
    return picture


@pytest.mark.parametrize("kind", style.FORMATS)
def test_the_same_figure_gives_the_same_bytes(tmp_path: Path, kind: str) -> None:
    paths = [tmp_path / "1" / f"x.{kind}", tmp_path / "2" / f"x.{kind}"]
    for path in paths:
        style.save(small(), path)
    first, second = (path.read_bytes() for path in paths)
    assert first == second
    assert b"<dc:date>" not in first
    assert [path.name for path in paths[0].parent.iterdir()] == [f"x.{kind}"]


def test_svg_text_is_what_is_saved(tmp_path: Path) -> None:
    style.save(small(), tmp_path / "x.svg")
    assert style.svg(small()) == (tmp_path / "x.svg").read_text("utf-8")


def test_another_format_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"x\.jpg: no format of figures; give a name that ends with \.png or \.svg"):
        style.save(small(), tmp_path / "x.jpg")
    assert not list(tmp_path.iterdir())


def test_series_differ_in_colour_and_in_marker() -> None:
    looks = [style.style_of(number) for number in range(56)]
    assert len({(look["color"], look["marker"]) for look in looks}) == 56
    for one, other in itertools.pairwise(looks):
        assert one["color"] != other["color"]
        assert one["marker"] != other["marker"]


def test_settings_of_others_are_left_alone() -> None:
    before = dict(mpl.rcParams)
    small()
    assert dict(mpl.rcParams) == before


def test_matplotlib_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    style.require_matplotlib()
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"pip install 'metarec\[figures\]'$"):
        style.require_matplotlib()
    with pytest.raises(InputError, match=r"or give no --figure$"):
        style.require_matplotlib("no --figure")


def test_panels_left_over_are_taken_away() -> None:
    picture, every = style.panels(5, 3, 1.0, "")
    assert len(every) == len(picture.axes) == 5
    picture, every = style.panels(2, 3, 1.0, "")
    assert len(every) == len(picture.axes) == 2
