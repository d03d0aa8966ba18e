from collections.abc import Iterator
from pathlib import Path

import pytest

from metarec import experiment
from metarec.experiment import checking
from metarec.experiment.checking import to_keep
from metarec.experiment.local import Local


@pytest.fixture
def local() -> Iterator[Local]:
    launcher = Local()
    yield launcher
    launcher.close()


@pytest.mark.slow
def test_a_fault_ends_the_program_as_it_would_here(
    local: Local, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = experiment.load(Path("experiments/movielens-100k-user-cold.yaml"))
    for option, message in [
        ("trainer.max_epoch=2", "did you mean trainer.max_epochs"),
        ("model.ndcg_at=3", "metrics: no metric 'ndcg_exp@5'; did you mean ndcg_exp@3"),
    ]:
        jobs = experiment.expand(plan, tmp_path, [0], ["item-mean"], [option])
        with pytest.raises(SystemExit) as stopped:
            checking.checked(local, plan, jobs)
        assert stopped.value.code == 2
        [line] = capsys.readouterr().err.strip().splitlines()
        assert line.startswith("metarec: error: ")
        assert message in line
    assert not list(tmp_path.iterdir())
    jobs = experiment.expand(plan, tmp_path, [0], ["item-mean"])
    with pytest.raises(SystemExit) as stopped:
        checking.checked(local, None, jobs)  # type: ignore[arg-type]
    assert stopped.value.code == 1
    assert "AttributeError" in capsys.readouterr().err
    [data] = checking.checked(local, plan, jobs)
    assert data["ratings"]["class_path"] == "metarec.data.sources.movielens_100k"


def of(number: int, seed: int = 0, batch_size: int = 1) -> dict:
    """What a configuration says of its data."""
    ratings = {"class_path": f"metarec.set_{number}", "init_args": {}}
    scenario = {"class_path": "metarec.cold", "init_args": {"seed": seed}}
    return {"ratings": ratings, "scenario": scenario, "tasks": "users", "batch_size": batch_size}


def test_each_split_of_the_sets_most_often_used_is_kept() -> None:
    assert to_keep([]) == []
    once = [of(number) for number in range(6)]
    twice = [of(number, batch_size=2) for number in (1, 2, 4, 5)]
    again = [of(1, seed=1)]
    kept = to_keep([*once, *twice, *again])
    assert [(one["ratings"]["class_path"], one["scenario"]["init_args"]["seed"]) for one in kept] == [
        *(("metarec.set_1", 0), ("metarec.set_2", 0), ("metarec.set_4", 0), ("metarec.set_5", 0)),
        ("metarec.set_1", 1),
    ]
