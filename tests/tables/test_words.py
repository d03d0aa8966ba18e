import dataclasses
import json
from pathlib import Path

import pytest

from metarec import report
from metarec.tables.made import made
from metarec.tables.published import Printed
from metarec.tables.table import Cell, Table
from metarec.tables.words import caption
from tests.folders import EXPERIMENT, write_runs


@pytest.fixture
def results(tmp_path: Path) -> Path:
    return write_runs(tmp_path)


def table_of(results: Path, figures: dict | None = None, seeds: tuple[int, ...] = ()) -> Table:
    return made(EXPERIMENT, report.finished(EXPERIMENT, results, seeds), figures or {}, "small")


def test_the_caption_says_how_the_figures_were_made(results: Path) -> None:
    text = table_of(results).caption
    assert text.startswith(
        "A small table. Mean over 50 test tasks (ndcg_exp@5: 49) and 2 model seed(s), in brackets the 95 % bootstrap "
        "interval over users and model seeds, both drawn anew each time. A value is one user's own; gain: "
    )
    assert "mae - bias: paired by user and seed; p: paired permutation test" in text
    assert "Holm's correction for the rows of the table (of 9,999 draws of signs: before it, 0.0002 is the" in text
    assert "Bold: the best row, where the intervals of its paired differences to all others exclude 0." in text
    assert "Printed" not in text
    assert "interval over users. A value is" in table_of(results, seeds=(1,)).caption


def test_the_caption_names_the_sources_of_printed_figures(results: Path) -> None:
    figure = Printed("Lee et al., KDD 2019", "Table 2", "MeLU-5", Cell(0.7854, digits=4))
    text = table_of(results, {"maml": {"mae": figure, "ndcg_exp@5": figure}}).caption
    assert text.endswith(
        "Printed, not run here, and on other draws of the tasks: maml: MeLU-5 in Lee et al., KDD 2019, Table 2; else "
        "empty."
    )
    rumour = Printed("Rumour", "a slide", "Y", Cell())
    assert "tuned: Y in Rumour, a slide (not verified); else" in table_of(results, {"tuned": {"mae": rumour}}).caption


def test_the_caption_says_what_auc_is(results: Path) -> None:
    rows = [dataclasses.replace(row, cells={"auc": row.cells["mae"]}) for row in table_of(results).rows]
    text = caption(dataclasses.replace(EXPERIMENT, metrics=["auc"]), rows, {})
    assert "auc: the share of pairs of an item with a click and a sampled one in the right order; gain" in text


def test_the_foot(results: Path) -> None:
    assert table_of(results).foot == (
        "Runs of commit cccccccccc; data made-up dddddddddddd; split ssssssssssss; episodes eeeeeeeeeeee; seeds 0, 1; "
        "cost: 46 s of training and selection in all, 1.00 to 1.00 ms/user; not run: absent."
    )


def test_the_foot_names_all_commits_and_what_was_not_recorded(results: Path) -> None:
    path = results / "maml" / "seed-1" / "metrics.json"
    content = json.loads(path.read_text())
    path.write_text(json.dumps(content | {"commit": "a" * 40 + "+"}))
    assert table_of(results).foot.startswith("Runs of commit aaaaaaaaaa+, cccccccccc; data")
    for each in results.glob("*/*/metrics.json"):
        old = json.loads(each.read_text())
        each.write_text(json.dumps({name: value for name, value in old.items() if name != "commit"}))
    assert table_of(results).foot.startswith("Runs of commit not recorded; data")
