"""LaTeX: compiled where there is a pdflatex, and its lines by hand everywhere."""

import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from metarec.tables.latex import PACKAGES, as_latex, escaped
from tests.tables.by_hand import TABLE

NASTY = r"""100 % & $x_1^2$ #3 {a} ~b \end{table} <c> "d" |e| 'f' `g` [h] *i* @5"""


def test_by_hand() -> None:
    assert as_latex(TABLE).splitlines() == [
        r"% \usepackage{booktabs, graphicx}; a wide table is larger in table* or on a page in landscape",
        r"\begin{table}",
        r"\centering\footnotesize",
        r"\caption[small]{\footnotesize \textbf{Not as the experiment file says now: a\_b.} "
        r"50 \% of \textless{}users\textgreater{} \& \_items\_.}",
        r"\label{tab:small}\smallskip",
        r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%",
        r"\begin{tabular}{lrrrr}",
        r"\toprule",
        r"method & mae & printed mae & p (mae) & fit s \\",
        r"\midrule",
        r"chance & 1.250 {\scriptsize [1.200, 1.300]} &  & \textless{}0.001 & 0 \\",
        r"\midrule",
        r"a\textbar{}b\_c & \textbf{0.500} {\scriptsize [0.000, 0.750]} & 0.74 & -- & 1234 \\",
        r"\bottomrule",
        r"\end{tabular}}",
        r"\par\smallskip\raggedright\scriptsize Runs of commit abc; cost: 5 \% \& more.",
        r"\end{table}",
    ]


def test_minus_signs_are_those_of_formulas() -> None:
    row = TABLE.rows[0]
    worse = replace(row, cells=row.cells | {"mae": replace(row.cells["mae"], mean=-1.25, low=-1.3)})
    assert r"$-$1.250 {\scriptsize [$-$1.300, 1.300]}" in as_latex(replace(TABLE, rows=[worse]))


def test_a_table_without_trivial_rows_has_one_rule_less() -> None:
    assert as_latex(replace(TABLE, rows=TABLE.rows[1:])).count(r"\midrule") == 1


def printed(table: str, folder: Path, after: str = "") -> str:
    """Compile a document with the table; the log."""
    pdflatex = shutil.which("pdflatex")
    if pdflatex is None:
        pytest.skip("no pdflatex here")
    head = rf"\documentclass{{article}}\usepackage{{{','.join(PACKAGES)}}}\begin{{document}}"
    (folder / "paper.tex").write_text(f"{head}\n{table}\n{after}\n\\end{{document}}\n")
    command = [pdflatex, "-interaction=nonstopmode", "-halt-on-error", "paper.tex"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, errors="replace", check=False)
    assert done.returncode == 0, done.stdout[-2000:]
    assert (folder / "paper.pdf").stat().st_size > 1000
    return done.stdout


def test_a_name_is_no_option_of_the_row_before_it_and_a_title_no_command() -> None:
    text = as_latex(replace(TABLE, title="a#b%c d", rows=[replace(row, method="[ours]*") for row in TABLE.rows]))
    assert text.count("\n{}[ours]* & ") == 2
    assert r"\label{tab:a-b-c-d}\smallskip" in text
    assert "\n{}*ours & " in as_latex(replace(TABLE, rows=[replace(TABLE.rows[0], method="*ours")]))


def test_it_compiles(tmp_path: Path) -> None:
    log = printed(as_latex(TABLE), tmp_path)
    assert "Overfull \\hbox" not in log


def test_whatever_the_names_are_it_compiles(tmp_path: Path) -> None:
    row = replace(TABLE.rows[1], method=NASTY)
    first = replace(row, method="[ours]")
    table = replace(TABLE, title=NASTY, caption=NASTY, foot=NASTY, rows=[row, first, first], warnings=[NASTY])
    printed(as_latex(table), tmp_path, after=escaped(NASTY))
