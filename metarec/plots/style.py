"""How all figures look: colours that the colour-blind tell apart, marks for print in grey, files without dates."""

import importlib.util
import io
import math
import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from metarec.errors import InputError
from metarec.files import replacing

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FORMATS = ("png", "svg")

WIDTH = 7.0
"""Of a figure, inches: the text of a printed page, so that nothing is scaled down there."""

LEAST = 2.2
"""Height of a figure, inches, below which title, legend and note would leave no room."""

NAME = 30
"""Letters of a method's name in one line."""

BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9"
COLOURS = (BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY, "#000000")
"""Okabe and Ito, Color Universal Design (2008), without their yellow, which is faint on paper."""

GREY = "#6b6b6b"
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<")
LINES = ("-", "--", ":", "-.")

SETTINGS: dict[str, Any] = {
    "font.size": 8,
    "font.family": ["DejaVu Sans"],  # comes with matplotlib
    "axes.titlesize": 8,
    "legend.fontsize": 7.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": False,
    "grid.color": "#dddddd",
    "grid.linewidth": 0.5,
    "axes.axisbelow": True,
    "svg.fonttype": "path",  # looks the same where a font is missing
    "svg.hashsalt": "metarec",  # else ids are random
}
DPI = 200
_METADATA: dict[str, dict[str, str | None]] = {"png": {"Software": None}, "svg": {"Date": None}}


def require_matplotlib(otherwise: str = "") -> None:
    """Refuse to draw without matplotlib.

    Args:
        otherwise: what to give so that nothing is drawn, if that is possible.

    Raises:
        InputError: matplotlib is not installed.
    """
    if importlib.util.find_spec("matplotlib") is None:
        raise InputError(
            "pictures need matplotlib; pip install 'metarec[figures]'" + (f", or give {otherwise}" if otherwise else "")
        )


@contextmanager
def styled() -> Iterator[None]:
    """Draw with the settings of all figures, and leave those of others alone."""
    import matplotlib as mpl

    settings: Any = SETTINGS  # matplotlib names each key in its type
    with mpl.rc_context(settings):
        yield


def blank(height: float, width: float = WIDTH, title: str = "") -> "Figure":
    """An empty figure whose parts make room for each other.

    Args:
        height: inches.
        width: inches.
        title: above it.
    """
    from matplotlib.figure import Figure

    picture = Figure(figsize=(width, max(height, LEAST)), layout="constrained")
    if title:
        picture.suptitle("\n".join(textwrap.wrap(title, round(width * 16))), fontsize=9, x=0.01, ha="left")
    return picture


def panels(number: int, columns: int, height: float, title: str, **shared: Any) -> tuple["Figure", list[Any]]:
    """A figure of small panels, row by row; places that are left over stay empty.

    Args:
        number: of panels.
        columns: most panels side by side.
        height: of a panel, inches.
        title: above them all.
        shared: `sharex`, `sharey` of matplotlib's `subplots`.
    """
    columns = min(columns, number)
    rows = math.ceil(number / columns)
    picture = blank(0.9 + height * rows, title=title)
    every = picture.subplots(rows, columns, squeeze=False, **shared).ravel().tolist()
    for axes in every[number:]:
        axes.remove()
    for place, axes in enumerate(every[:number]):
        axes.tick_params(labelleft=place % columns == 0, labelbottom=place + columns >= number, labelsize=7)
    return picture, every[:number]


def name_rows(axes: Any, names: Sequence[str]) -> None:
    """Name the rows of a figure, from below upwards; long names take two lines of smaller letters."""
    axes.set_yticks(range(len(names)), [wrapped(name, NAME) for name in names])
    for label in axes.get_yticklabels():
        if "\n" in label.get_text():
            label.set(fontsize=5.5, linespacing=0.95)
    axes.set_ylim(-0.7, len(names) - 0.3)
    axes.tick_params(axis="y", length=0)
    axes.grid(True, axis="y")


def wrapped(name: str, width: int) -> str:
    """A name over several lines, broken at its hyphens."""
    return "\n".join(textwrap.wrap(name, width))


def note(picture: "Figure", sentences: Sequence[str]) -> None:
    """Say below a figure how it is to be read."""
    text = " ".join(sentence for sentence in sentences if sentence)
    lines = textwrap.wrap(text, round(picture.get_figwidth() * 19), break_on_hyphens=False)
    picture.supxlabel("\n".join(lines), x=0.01, ha="left", fontsize=7, color="#333333")


def legend(axes: Any, columns: int = 3) -> None:
    """A legend above a panel, each label once, in the order they were drawn in; none where nothing has a label."""
    handles, labels = axes.get_legend_handles_labels()
    found = dict(zip(labels, handles, strict=True))
    if found:
        above = {"loc": "lower left", "bbox_to_anchor": (0, 1), "borderaxespad": 0.2, "handletextpad": 0.2}
        axes.legend(list(found.values()), list(found), ncols=columns, frameon=False, columnspacing=1.0, **above)


def style_of(number: int) -> dict[str, str]:
    """Colour, marker and line of the n-th series; they differ in colour and in marker, so in grey too."""
    return {
        "color": COLOURS[number % len(COLOURS)],
        "marker": MARKERS[number % len(MARKERS)],
        "linestyle": LINES[number // len(COLOURS) % len(LINES)],
    }


def save(picture: "Figure", path: Path) -> None:
    """Write a figure; the same figure gives the same bytes.

    Args:
        picture: the figure.
        path: the file, whose ending is its format, see `FORMATS`.

    Raises:
        InputError: it is another one.
    """
    kind = path.suffix.removeprefix(".")
    if kind not in FORMATS:
        raise InputError(f"{path}: no format of figures; give a name that ends with .{' or .'.join(FORMATS)}")
    with styled(), replacing(path) as temporary:
        picture.savefig(temporary, format=kind, dpi=DPI, metadata=_METADATA[kind])


def svg(picture: "Figure") -> str:
    """The figure as SVG text."""
    file = io.BytesIO()
    with styled():
        picture.savefig(file, format="svg", metadata=_METADATA["svg"])
    return file.getvalue().decode("utf-8")
