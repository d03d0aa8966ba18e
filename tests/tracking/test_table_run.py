"""`metarec table --track`: a table as a run of its own; lineage is tested with real runs in test_artifacts.py."""

from pathlib import Path

import pytest

from metarec import cli
from metarec.tracking.table_run import folders_of, place_of
from tests.tracking.read import finish, read


def test_the_command_logs_what_it_prints(experiment: Path, results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cli.main(["table", str(experiment), "--results", str(results), "--track"])
    finish()
    printed, said = capsys.readouterr()
    [found] = read(results)
    assert f"tracked as run {found.run.run_id}, offline; `metarec sync {experiment}`" in said
    assert (found.run.run_group, found.run.job_type, found.run.display_name) == ("my-group", "table", "table-mine")
    assert [how for _, _, how in found.lineage] == ["used"] * 6 + ["made"]
    assert len({name for _, name, _ in found.lineage}) == 7
    [table] = [artifact for artifact in found.artifacts if artifact.type == "table"]
    [text] = [Path(entry.local_path) for entry in table.manifest.contents if entry.path == "table.md"]
    assert text.read_text() == printed.rstrip("\n")
    assert found.config["_wandb.visualize.charts/dot_plot"]["panel_config"]["panelDefId"] == "wandb/bar/v0"
    assert found.summary["charts/dot_plot_table.nrows"] == 3


def test_where_an_experiment_is() -> None:
    prefix = "trainer.logger.init_args."
    assert place_of({}, ["auc", "mae"], "mine") == ("metarec", "mine", "auc")
    assert place_of({f"{prefix}project": "p", f"{prefix}group": "g"}, ["mae"], "mine") == ("p", "g", "mae")


def test_only_folders_of_the_tables_methods_count(tmp_path: Path) -> None:
    for name in ("maml/seed-0", "late/maml/seed-1", "old/seed-0", "maml/seed-2"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "per_task.parquet").touch()
        if "seed-2" not in name:
            (tmp_path / name / "metrics.json").touch()
    found = folders_of(tmp_path, ["maml", "other"])
    assert [str(folder.relative_to(tmp_path)) for folder in found] == ["late/maml/seed-1", "maml/seed-0"]
