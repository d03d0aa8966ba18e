"""Figures hold the numbers they should: what was drawn is read back."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from metarec.errors import InputError
from metarec.metrics.intervals import mean_interval
from metarec.plots import pictures, style
from metarec.plots.differences import differences
from metarec.plots.dots import dots
from metarec.plots.gain import gain
from metarec.plots.learning import learning
from metarec.plots.runs import Record, Runs, gains, values
from metarec.plots.seconds import seconds
from tests.plots.made import EXPERIMENT, curve


def record(rows: list[Record], method: str, metric: str) -> Record:
    [row] = [row for row in rows if row["method"] == method and row["metric"] == metric]
    return row


def names_of(axes: Any) -> list[str]:
    return [label.get_text() for label in axes.get_yticklabels()]


def bars(axes: Any) -> dict[int, tuple[float, float, float]]:
    """Mean, low and high of each row that was drawn at its place."""
    found = {}
    for container in axes.containers:
        line, _, [segments] = container
        [[low, high]] = [segment[:, 0] for segment in segments.get_segments()]
        found[int(line.get_ydata()[0])] = (float(line.get_xdata()[0]), low, high)
    return found


@pytest.mark.parametrize("metric", EXPERIMENT.metrics)
def test_dots_are_the_records(runs: Runs, metric: str) -> None:
    picture = dots(runs.records, metric, "bias")
    left, right = picture.axes
    order = names_of(left)
    assert order == (["chance", "item-mean", "bias", "maml"])  # the lowest row first: the best is on top
    means, apart = bars(left), bars(right)
    for place, method in enumerate(order):
        row = record(runs.records, method, metric)
        if method == "chance":
            assert place not in means
            assert f"{row['mean']:.3f}" in [text.get_text() for text in left.texts]
            continue
        assert means[place] == pytest.approx((row["mean"], row["low"], row["high"]))
        if method != "bias":
            expected = (row["difference"], row["difference_low"], row["difference_high"])
            assert apart[place] == pytest.approx(expected)
    low, high = left.get_xlim()
    assert all(low < end < high for bar in means.values() for end in bar)
    judged = {order[int(bar[0].get_ydata()[0])]: bar.get_label() for bar in right.containers}
    assert judged == {"maml": "better", "item-mean": "worse"}
    [mark] = [text for text in right.texts if "reference" in text.get_text()]
    assert mark.get_position() == (0, order.index("bias"))


def test_a_far_row_that_lies_on_the_axis_anyway_is_drawn_at_its_place(runs: Runs) -> None:
    """One row's interval is so wide that the axis reaches beyond chance, to whose far side an arrow would point."""
    rows = [dict(row) for row in runs.records]
    record(rows, "item-mean", "mae").update(high=1.7)
    left = dots(rows, "mae", "bias").axes[0]
    place = names_of(left).index("chance")
    assert bars(left)[place][0] == pytest.approx(record(rows, "chance", "mae")["mean"])
    assert [text.get_text() for text in left.texts] == []


def test_dots_show_zero_shot(runs: Runs) -> None:
    left = dots(runs.records, "mae", "bias").axes[0]
    drawn = {line.get_ydata()[0]: line for line in left.lines if line.get_label() == "zero-shot"}
    assert len(drawn) == 4
    place = names_of(left).index("item-mean")
    assert drawn[place].get_xdata()[0] == pytest.approx(record(runs.records, "item-mean", "zero_shot_mae")["mean"])
    beyond = drawn[names_of(left).index("maml")]  # .95, where the axis ends at .85
    assert beyond.get_marker() == ">"
    assert beyond.get_xdata()[0] < 0.9


def test_a_difference_that_may_be_none_is_not_told_apart(runs: Runs) -> None:
    rows = [dict(row) for row in runs.records]
    record(rows, "maml", "mae").update(difference=-0.01, difference_low=-0.03, difference_high=0.01)
    right = dots(rows, "mae", "bias").axes[1]
    assert set(right.get_legend_handles_labels()[1]) == {"not told apart", "worse"}


def test_the_axis_of_differences_holds_zero(runs: Runs) -> None:
    two = [row for row in runs.records if row["method"] in ("bias", "maml")]
    right = dots(two, "mae", "bias").axes[1]
    assert right.get_xlim()[0] < -0.05 < 0 < right.get_xlim()[1]
    assert right.texts[0].get_ha() == "right"  # towards the side where there is room


def test_dots_without_reference_have_one_panel(runs: Runs) -> None:
    only = [row for row in runs.records if row["method"] == "bias"]
    assert len(dots(only, "mae", "bias").axes) == 1


def test_dots_name_who_has_no_value(runs: Runs) -> None:
    rows = [dict(row) for row in runs.records]
    record(rows, "maml", "ndcg_exp@5").update(mean=None, low=None, high=None)
    picture = dots(rows, "ndcg_exp@5", "bias")
    assert names_of(picture.axes[0]) == ["chance", "item-mean", "bias"]
    note = picture.get_supxlabel()
    assert "No value: maml." in note
    assert "Up to 1 test users have no ndcg_exp@5" in note.replace("\n", " ")
    with pytest.raises(InputError, match="no test user of any run has a mae"):
        dots([row | {"mean": None} for row in runs.records], "mae", "bias")


def test_gain_by_activity(runs: Runs) -> None:
    picture = gain(runs.users, "mae")
    assert [axes.get_title() for axes in picture.axes] == ["bias", "maml"]
    activity = runs.users[runs.users["method"] == "maml"].query("seed == 0").set_index("user")["activity"].sort_index()
    quarters = pd.qcut(activity, 4, labels=False).to_numpy()
    own = gains(runs.users, "maml", "mae")
    [container] = picture.axes[1].containers
    line, _, [segments] = container
    for quarter in range(4):
        expected = mean_interval(own[:, quarters == quarter])
        assert line.get_ydata()[quarter] == pytest.approx(expected.mean)
        assert segments.get_segments()[quarter][:, 1] == pytest.approx([expected.low, expected.high])
    assert picture.axes[1].get_xticklabels()[0].get_text() == "15\N{EN DASH}24"
    assert "Adapt nothing: item-mean, chance." in picture.get_supxlabel().replace("\n", " ")
    assert "10, 10, 10, 10 users a group" in picture.get_supxlabel().replace("\n", " ")


def test_no_gain_no_figure(runs: Runs) -> None:
    with pytest.raises(InputError, match=r"no method of \['item-mean'\] changes its mae by adaptation"):
        gain(runs.users[runs.users["method"] == "item-mean"], "mae")


@pytest.mark.parametrize(("metric", "sign"), [("mae", -1), ("ndcg_exp@5", 1)])
def test_differences_are_quantiles_over_users(runs: Runs, metric: str, sign: int) -> None:
    picture = differences(runs.users, metric, "bias")
    axes = picture.axes[0]
    order = names_of(axes)
    assert order == ["chance", "item-mean", "maml"]
    base = values(runs.users, "bias", f"adapted/{metric}").mean(axis=0)
    for place, method in enumerate(order):
        apart = values(runs.users, method, f"adapted/{metric}").mean(axis=0) - base
        apart = apart[~np.isnan(apart)]
        share = axes.child_axes[0].get_yticklabels()[place].get_text()
        assert share == f"{100 * np.mean(sign * apart > 0):.0f} %"
        if method == "chance":  # an arrow with the mean
            mean = f"{apart.mean():.3f}".replace("-", "\N{MINUS SIGN}")
            assert mean in [text.get_text() for text in axes.texts]
            continue
        lines = [line for line in axes.lines if np.allclose(np.mean(line.get_ydata()), place)]
        drawn = sorted(float(x) for line in lines for x in np.atleast_1d(line.get_xdata()))
        for expected in (*np.percentile(apart, [5, 50, 95]), apart.mean()):
            assert np.isclose(drawn, expected).any()
        box = axes.patches[place - 1].get_path().vertices[:, 0]
        assert [box.min(), box.max()] == pytest.approx(np.percentile(apart, [25, 75]))
    users = 40 if metric == "mae" else 39
    assert f"{users} test users" in picture.get_supxlabel().replace("\n", " ")


def test_differences_need_a_reference_and_another(runs: Runs) -> None:
    with pytest.raises(InputError, match="finished runs of the reference absent"):
        differences(runs.users, "mae", "absent")
    with pytest.raises(InputError, match="finished runs of the reference bias and of another method"):
        differences(runs.users[runs.users["method"] == "bias"], "mae", "bias")
    empty = runs.users.assign(**{"adapted/mae": np.nan})
    with pytest.raises(InputError, match="no user has a mae by bias and by another method"):
        differences(empty, "mae", "bias")


@pytest.mark.parametrize("metric", EXPERIMENT.metrics)
def test_learning_curves_and_their_best(runs: Runs, metric: str) -> None:
    picture = learning(runs.learning(metric))
    [axes] = picture.axes
    lines = {name: [line for line in axes.lines if line.get_linestyle() == name] for name in ("-", ":", "None")}
    for seed in (0, 1):
        rows = curve(seed)
        assert list(lines["-"][seed].get_xdata()) == [1, 2, 3, 4, 5]
        assert list(lines["-"][seed].get_ydata()) == [row[f"val/adapted/{metric}"] for row in rows]
        assert list(lines[":"][seed].get_ydata()) == [row[f"val/zero_shot/{metric}"] for row in rows]
        assert lines["None"][seed].get_xdata()[0] == (3, 4)[seed]
        low, high = axes.get_ylim()
        assert low < lines["None"][seed].get_ydata()[0] < high
    assert axes.get_title() == "maml"


def test_learning_over_steps_where_an_epoch_has_several_validations(runs: Runs) -> None:
    found = runs.learning("mae")
    twice = found._replace(table=found.table.assign(epoch=1), without=["other"])
    picture = learning(twice)
    assert list(picture.axes[0].lines[1].get_xdata()) == [10, 20, 30, 40, 50]
    assert "over steps" in picture.get_supxlabel()
    assert "No learning curve: other." in picture.get_supxlabel()


def test_a_method_that_learns_nothing_is_still_in_its_panel(runs: Runs) -> None:
    """The worst tenth is left out of the axis, but no panel is empty."""
    found = runs.learning("mae")
    far = found.table.assign(method="far", adapted=5.0, zero_shot=6.0).head(1)
    picture = learning(found._replace(table=pd.concat([found.table, far], ignore_index=True)))
    low, high = picture.axes[1].get_ylim()
    assert low < 5.0 < high


def test_seconds_are_the_records(runs: Runs) -> None:
    trained, alone = seconds(runs.records).axes
    order = names_of(trained)
    assert order[-1] == "maml"  # the quickest is on top
    for place, (mean, low, high) in bars(alone).items():
        row = record(runs.records, order[place], "adapt_seconds")
        assert (mean, low, high) == pytest.approx(tuple(1000 * row[end] for end in ("mean", "low", "high")))
    [fit] = [line for line in trained.lines if len(line.get_xdata()) == 1]
    assert (fit.get_xdata()[0], order[fit.get_ydata()[0]]) == (22.0, "maml")
    assert [text.get_text() for text in trained.texts] == ["none"] * 3
    with pytest.raises(InputError, match="no run has measured its time"):
        seconds([row | {"mean": None} for row in runs.records])


def test_kinds_of_the_command_are_those_there_are() -> None:
    from metarec.commands.plot import KINDS

    assert tuple(pictures.KINDS) == KINDS


def test_nothing_trained(runs: Runs) -> None:
    rows = [row for row in runs.records if row["method"] != "maml"]
    trained, _ = seconds(rows).axes
    assert [text.get_text() for text in trained.texts] == ["none"] * 3


def shown(axes: Any) -> int:
    """How many lines with data inside the axes there are."""
    (left, right), (low, high) = sorted(axes.get_xlim()), sorted(axes.get_ylim())
    inside = 0
    for line in axes.lines:
        x, y = (np.asarray(data, dtype=float) for data in line.get_data(orig=False))
        inside += bool(((x >= left) & (x <= right) & (y >= low) & (y <= high)).any())
    return inside


@pytest.mark.parametrize("kind", list(pictures.KINDS))
@pytest.mark.parametrize("metric", EXPERIMENT.metrics)
def test_no_panel_is_empty(runs: Runs, kind: str, metric: str) -> None:
    picture = pictures.draw(runs, kind, metric, "name")
    assert picture.get_suptitle().startswith("name: ")
    assert picture.axes
    for axes in picture.axes:
        assert shown(axes) >= 1


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("kind", list(pictures.KINDS))
def test_there_is_room_for_few_rows_and_long_names(runs: Runs, tmp_path: Path, kind: str) -> None:
    """Laying out says where there is none; twice, since a figure is saved in two formats."""
    plans = EXPERIMENT.methods
    long = "maml-with-a-name-that-says-all-of-its-settings-at-once"
    folders = {"bias": "bias", long: "maml"}
    for new, old in folders.items():
        (tmp_path / new).symlink_to(runs.results / old)
    few = Runs(dataclasses.replace(EXPERIMENT, methods={new: plans[old] for new, old in folders.items()}), tmp_path)
    picture = pictures.draw(few, kind, "ndcg_exp@5", "an-experiment-whose-name-is-long-too-and-goes-on")
    for ending in style.FORMATS:
        style.save(picture, tmp_path / f"{kind}.{ending}")


def test_all_are_drawn_and_the_others_refused(runs: Runs) -> None:
    drawn, refused = pictures.draw_all(runs, list(pictures.KINDS), ["mae", "auc"], "name")
    assert set(drawn) == {(kind, "mae") for kind in pictures.KINDS}
    assert {kind for kind, _ in refused} == {"dots", "k-shot", "learning", "gain", "differences"}
    assert "no metric 'auc'" in refused["gain", "auc"]


def test_file_names() -> None:
    assert pictures.file_name("dots", "ndcg_exp@5") == "dots-ndcg_exp@5"
    assert pictures.file_name("time", "mae") == "time"
    assert pictures.wanted(["dots", "time"], ["mae", "rmse"]) == [("dots", "mae"), ("dots", "rmse"), ("time", "mae")]


def test_the_reference_is_that_of_the_experiment(runs: Runs) -> None:
    other = Runs(dataclasses.replace(EXPERIMENT, reference="maml"), runs.results)
    assert "maml" in pictures.draw(other, "differences", "mae", "name").axes[0].get_xlabel()
