"""Workspace and report as code: what their JSON says, offline, and that only --save goes to an account."""

import importlib.util
import json
import socket
import sys
from pathlib import Path

import pytest

from metarec import cli
from metarec.errors import InputError
from metarec.tracking.vega import PRESETS
from metarec.tracking.workspace import Board, Place, require_workspaces, save, workspace, write

BOARD = Board("mine", "A small table.", ["mae", "ndcg_exp@5"], Place("my-project", "my-group", "mae"), "team", "| a |")

NEEDED = pytest.mark.skipif(
    importlib.util.find_spec("wandb_workspaces") is None, reason="wandb-workspaces is missing: metarec[dashboard]"
)


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def connect(*_: object) -> None:
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket.socket, "connect", connect)


def read(path: Path) -> dict:
    content: dict = json.loads(path.read_text())
    return content


@NEEDED
def test_workspace_and_report_offline(tmp_path: Path) -> None:
    paths = write(BOARD, tmp_path)
    assert {path.name for path in paths} == {"workspace.json", "report.json", *(f"{name}.json" for name in PRESETS)}
    view = read(tmp_path / "workspace.json")
    assert (view["entity"], view["project"], view["displayName"]) == ("team", "my-project", "mine")
    section = view["spec"]["section"]
    [runs] = section["runSets"]
    [group] = runs["filters"]["filters"]
    assert (group["key"]["name"], group["op"], group["value"]) == ("group", "=", "my-group")
    names = [part["name"] for part in section["panelBankConfig"]["sections"]]
    assert names == ["Learning curves", "Test", "Gain by adaptation", "k-shot", "Table"]
    report = read(tmp_path / "report.json")["spec"]["blocks"]
    grids = [block["metadata"] for block in report if block["type"] == "panel-grid"]
    assert len(grids) == len(names)
    for grid in grids:
        [runs] = grid["runSets"]
        assert "project" not in runs
        assert runs["filters"]["filters"] == [group]
        places = [tuple(panel["layout"].values()) for panel in grid["panelBankSectionConfig"]["panels"]]
        assert len(set(places)) == len(places)
    assert [block["content"] for block in report if block["type"] == "markdown-block"] == ["| a |"]
    assert write(BOARD, tmp_path / "again")
    for path in paths:
        assert path.read_text() == (tmp_path / "again" / path.relative_to(tmp_path)).read_text()


@NEEDED
def test_panels_show_what_runs_log(tmp_path: Path) -> None:
    write(BOARD, tmp_path)
    bank = read(tmp_path / "workspace.json")["spec"]["section"]["panelBankConfig"]["sections"]
    panels = [panel for part in bank for panel in part["panels"]]
    drawn = {name for panel in panels for name in panel["config"].get("metrics", [])}
    assert {"val/adapted/mae", "val/gain/mae", "test/adapted/ndcg_exp@5", "test/gain/mae", "k_shot/mae"} <= drawn
    assert {panel["config"].get("groupBy") for panel in panels if "val/adapted/mae" in str(panel)} == {"jobType"}
    charts = {panel["config"]["panelDefId"]: panel["config"] for panel in panels if panel["viewType"] == "Vega2"}
    assert set(charts) == {f"team/{name}" for name in PRESETS}
    tables = {"metarec-dot-plot": "rows", "metarec-gain-by-support": "support_gain", "metarec-k-shot": "k_shot"}
    for name, spec in PRESETS.items():
        config, text = charts[f"team/{name}"], json.dumps(spec)
        for field in config["fieldSettings"]:
            assert f"${{field:{field}}}" in text
        assert text.count("${field:") == sum(text.count(f"${{field:{field}}}") for field in config["fieldSettings"])
        assert ("${string:metric}" in text) == (config.get("stringSettings") == {"metric": "mae"})
        assert f'"value": "{tables[name]}"' in json.dumps(config)


@NEEDED
def test_the_best_run_is_on_top() -> None:
    ascending = [
        workspace(BOARD._replace(place=BOARD.place._replace(main=main))).runset_settings.order[0].ascending
        for main in ("mae", "ndcg_exp@5")
    ]
    assert ascending == [True, False]


@NEEDED
def test_saving_puts_charts_workspace_and_report_there(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import wandb
    import wandb_workspaces.reports.v2 as wr
    import wandb_workspaces.workspaces as ws

    calls = []

    class Api:
        def create_custom_chart(self, entity: str, name: str, *rest: object) -> None:
            calls.append(f"{entity}/{name}")
            if name == "metarec-k-shot":
                raise wandb.errors.CommError("a chart of this name exists already")

    def saved(built: object) -> object:
        calls.append(built)
        return type("Saved", (), {"url": f"https://wandb.test/{len(calls)}"})()

    monkeypatch.setattr(wandb, "Api", Api)
    monkeypatch.setattr(ws.Workspace, "save", saved)
    monkeypatch.setattr(wr.Report, "save", saved)
    assert save(BOARD) == ["https://wandb.test/4", "https://wandb.test/5"]
    assert calls[:3] == [f"team/{name}" for name in PRESETS]
    assert "stays as it is" in capsys.readouterr().out
    sets = [runs for block in calls[4].blocks if isinstance(block, wr.PanelGrid) for runs in block.runsets]
    assert {(runs.entity, runs.project) for runs in sets} == {("team", "my-project")}

    def refused(*_: object) -> None:
        raise wandb.errors.CommError("no such\nteam")

    monkeypatch.setattr(ws.Workspace, "save", refused)
    with pytest.raises(InputError, match="team/my-project: not saved: no such team"):
        save(BOARD)


def one_line(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    with pytest.raises(SystemExit) as stopped:
        cli.main(["dashboard", *arguments])
    assert stopped.value.code == 2
    [line] = capsys.readouterr().err.splitlines()
    return line


@NEEDED
def test_the_command_writes_the_table_too(
    experiment: Path, results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cli.main(["dashboard", str(experiment), "--results", str(results), "--into", str(tmp_path / "out")])
    assert capsys.readouterr().out.count("written: ") == 2 + len(PRESETS)
    text = (tmp_path / "out" / "report.json").read_text()
    assert "A small table. Mean over 50 test tasks" in text
    assert '"value": "my-group"' in text
    cli.main(["dashboard", str(experiment)])
    assert "without the table: " in capsys.readouterr().out
    assert (tmp_path / "results" / "mine" / "dashboard" / "workspace.json").exists()
    assert "needs a Weights & Biases account; run `wandb login`" in one_line(capsys, str(experiment), "--save")


def test_without_the_package_there_is_one_line(
    experiment: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "wandb_workspaces", None)
    monkeypatch.delitem(sys.modules, "wandb_workspaces.workspaces", raising=False)
    monkeypatch.delitem(sys.modules, "wandb_workspaces.reports.v2", raising=False)
    with pytest.raises(InputError):
        require_workspaces()
    assert "pip install 'metarec[dashboard]'" in one_line(capsys, str(experiment))
