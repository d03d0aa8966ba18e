"""The whole page."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from metarec.page import elements, sections
from metarec.plots.runs import Runs

STYLE = """
:root { color-scheme: light; }
body { margin: 0 auto; max-width: 78rem; padding: 1rem; color: #1a1a1a; background: #fff; }
body { font: 16px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.6rem; line-height: 1.2; overflow-wrap: anywhere; }
h2 { font-size: 1.2rem; margin: 2.5rem 0 .5rem; border-bottom: 1px solid #ccc; padding-bottom: .2rem; }
nav { display: flex; flex-wrap: wrap; gap: .2rem 1rem; }
a { color: #005a8c; }
p { max-width: 46rem; }
.warning { border-left: .3rem solid #D55E00; padding: .3rem .8rem; background: #fdf1e9; font-weight: 600; }
.wide { overflow-x: auto; }
table { border-collapse: separate; border-spacing: 0; font-size: .8rem; font-variant-numeric: tabular-nums; }
th, td { padding: .25rem .6rem; text-align: right; white-space: nowrap; border-bottom: 1px solid #ddd; }
thead th { vertical-align: bottom; border-bottom: 2px solid #666; background: #fff; }
th:first-child { text-align: left; position: sticky; left: 0; background: #fff; }
tbody th { font-weight: 400; }
.marked th, .marked td { background: #eef5fa; }
figure { margin: 1.5rem 0; }
figure img { display: block; width: 100%; min-width: 36rem; max-width: 46rem; height: auto; }
figcaption { font-size: .85rem; color: #444; max-width: 46rem; }
details { margin: .3rem 0; padding-left: .2rem; }
details details { margin-left: 1rem; }
summary { cursor: pointer; overflow-wrap: anywhere; }
pre { overflow-x: auto; padding: .7rem; background: #f5f5f5; font-size: .8rem; line-height: 1.4; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .2rem 1rem; font-size: .85rem; }
dt { color: #444; } dd { margin: 0; overflow-wrap: anywhere; }
@media (max-width: 40rem) { dl { grid-template-columns: 1fr; } dd { margin-bottom: .4rem; } }
@media print { nav { display: none; } figure, tr { break-inside: avoid; } .wide { overflow: visible; } }
"""

PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<h1>{title}</h1>
{lead}
<nav>{links}</nav>
{parts}
</body>
</html>
"""
"""No script; the policy forbids all that would be fetched."""


def page(
    runs: Mapping[str, Runs], file: Path, odd: Mapping[str, Sequence[str]] | None = None, options: str = ""
) -> str:
    """The page of an experiment as HTML.

    Args:
        runs: its finished runs by scenario; under the empty name, where it has none.
        file: the experiment file.
        odd: by scenario, methods that ran with other options than the experiment says.
        options: of the commands that make all of it again, as a shell takes them.

    Raises:
        InputError: as `metarec.report.finished`.
    """
    odd = odd or {}
    shown = {name: part for scenario, own in runs.items() for name, part in _block(scenario, own, file)}
    shown |= {
        "again": ("How to run it again", sections.again(list(runs.values()), file, options)),
        "configuration": ("Configuration", sections.configuration(runs, file)),
    }
    lead = [elements.paragraph(next(iter(runs.values())).experiment.shows)]
    lead += [sections.warnings(own, odd.get(scenario, ()), scenario) for scenario, own in runs.items()]
    return PAGE.format(
        title=elements.text(file.stem),
        style=STYLE,
        lead="\n".join(lead),
        links="".join(f'<a href="#{name}">{elements.text(title)}</a>' for name, (title, _) in shown.items()),
        parts="\n".join(elements.section(name, title, content) for name, (title, content) in shown.items()),
    )


def _block(scenario: str, runs: Runs, file: Path) -> list[tuple[str, tuple[str, str]]]:
    """What a page shows of one scenario: for each part its id, its title and its content."""
    of, before = (f" of {scenario}", f"{scenario}-") if scenario else ("", "")
    parts = {
        "results": ("Results", sections.table_html(runs)),
        "k-shot": ("Over the number of ratings", sections.k_shot_html(runs)),
        "figures": ("Figures", sections.figures(runs, f"{file.stem}, {scenario}" if scenario else file.stem)),
        "cost": ("Cost", sections.cost(runs)),
        "sources": ("Versions and digests", sections.sources(runs)),
    }
    return [(f"{before}{name}", (f"{title}{of}", content)) for name, (title, content) in parts.items() if content]
