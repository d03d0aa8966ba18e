import dataclasses
from pathlib import Path

import pytest

from metarec.errors import InputError
from metarec.experiment import load
from metarec.tables import published
from metarec.tables.table import Cell
from tests.folders import EXPERIMENT

HEAD = "id,source,place,dataset,scenario,model,metric,value,unit,verified\n"
LINES = (
    'first,"Lee et al., KDD 2019",Table 2,movielens-1m,user_cold,MeLU-5,mae,.7854,1,yes\n'
    "second,Someone,Table 9,movielens-1m,user_cold,X,ndcg@5,58.20,percent,yes\n"
    "third,Rumour,a slide,movielens-1m,user_cold,Y,mae,,1,no\n"
)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "published.csv").write_text(HEAD + LINES)
    return tmp_path / "published.csv"


def test_figures_with_the_digits_that_were_printed(file: Path) -> None:
    found = published.read(file)
    assert found["first"] == published.Printed("Lee et al., KDD 2019", "Table 2", "MeLU-5", Cell(0.7854, digits=4))
    assert found["second"].cell.mean == pytest.approx(0.582)
    assert found["second"].cell.digits == 4


def test_what_nobody_has_verified_stays_empty(file: Path) -> None:
    assert published.read(file)["third"].cell == Cell()
    file.write_text(HEAD + LINES.replace("Y,mae,,1", "Y,mae,.5,1"))
    assert published.read(file)["third"].cell == Cell()


def test_figures_of_an_experiment(file: Path) -> None:
    plan = dataclasses.replace(EXPERIMENT, published={"maml": {"mae": "first"}, "bias": {"ndcg_exp@5": "second"}})
    found = published.of_experiment(plan, file)
    assert found["maml"]["mae"].model == "MeLU-5"
    assert found["bias"]["ndcg_exp@5"].source == "Someone"


def test_an_experiment_without_printed_figures_needs_no_file(tmp_path: Path) -> None:
    assert published.of_experiment(EXPERIMENT, tmp_path / "absent.csv") == {}


@pytest.mark.parametrize(
    ("named", "message"),
    [
        ({"maml": {"mae": "frist"}}, "published.maml.mae: no id 'frist'.*did you mean first"),
        ({"maml": {"rmse": "first"}}, "published.maml: rmse is no metric of the table"),
    ],
)
def test_wrong_names_are_refused(file: Path, named: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        published.of_experiment(dataclasses.replace(EXPERIMENT, published=named), file)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("id,source", "name,source", "the first line is name,source.*give id,source"),
        ("second,", "first,", "line 3: id first stands there twice"),
        ("58.20", "much", "line 3: value 'much' is no number"),
        ("percent", "%", "line 3: unit is 1 or percent"),
        ("a slide,movielens-1m,user_cold,Y,mae,,1,no", "a slide,movielens-1m", "line 4: give a value for each"),
        ("Rumour", "", "line 4: .*source and place"),
        ("mae,,1,no", "mae,,1,maybe", "line 4: .*verified is yes or no; found 1 and maybe"),
        ("mae,.7854,1,yes", "mae,,1,yes", "line 2: value '' is no number"),
        ("mae,.7854,1,yes", "mae,nan,1,yes", "line 2: value 'nan' is no number"),
    ],
)
def test_wrong_lines_are_refused(file: Path, old: str, new: str, message: str) -> None:
    file.write_text((HEAD + LINES).replace(old, new, 1))
    with pytest.raises(InputError, match=message):
        published.read(file)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    plan = dataclasses.replace(EXPERIMENT, published={"maml": {"mae": "first"}})
    with pytest.raises(InputError, match=r"absent\.csv: cannot be read"):
        published.of_experiment(plan, tmp_path / "absent.csv")


def test_the_file_holds_the_figures_that_our_experiments_name_and_no_others() -> None:
    file, named = Path("experiments/published.csv"), set()
    for plan in map(load, Path("experiments").glob("*.yaml")):
        published.of_experiment(plan, file)
        for part in (plan, *plan.scenarios.values()):
            named |= {name for figures in part.published.values() for name in figures.values()}
    assert set(published.read(file)) == named
