"""`metarec methods`: every fragment of a method is listed, with what its class and its head say."""

import json
from pathlib import Path

import pytest

from metarec import cli
from metarec.errors import InputError
from metarec.methods import MethodCard, methods


@pytest.fixture(scope="module")
def everything() -> list[MethodCard]:
    return methods(Path("configs"))


@pytest.fixture(scope="module")
def cards(everything: list[MethodCard]) -> dict[str, MethodCard]:
    """The methods by name; a net may have the name of one."""
    return {card.name: card for card in everything if card.kind != "nets"}


@pytest.fixture(scope="module")
def nets(everything: list[MethodCard]) -> dict[str, MethodCard]:
    return {card.name: card for card in everything if card.kind == "nets"}


def test_every_fragment_of_a_method_has_a_card(cards: dict[str, MethodCard]) -> None:
    fragments = [*Path("configs/algorithm").glob("*.yaml"), *Path("configs/baseline").glob("*.yaml")]
    assert set(cards) == {path.stem for path in fragments if not path.stem.endswith(".search")}
    for card in cards.values():
        assert card.kind in ("gradient", "closed_form", "amortised", "plain", "baselines")
        assert card.adapts
        assert card.source


def test_every_net_has_a_card_with_what_may_adapt(nets: dict[str, MethodCard]) -> None:
    assert set(nets) == {path.stem for path in Path("configs/net").glob("*.yaml") if ".search" not in path.name}
    assert (nets["melu"].adapts, nets["melu"].order) == ("all, decision, head", None)
    assert nets["melu"].parameters["hidden"] == [64, 64]
    assert "1606.07792" in nets["wide_deep"].source
    assert "1703.04247" in nets["deep_fm"].source


def test_a_card_holds_settings_over_defaults_and_what_adapts(cards: dict[str, MethodCard]) -> None:
    maml, fomaml, ridge = cards["maml"], cards["fomaml"], cards["ridge_head"]
    assert (maml.order, fomaml.order, ridge.order) == (2, 1, None)
    assert (maml.kind, ridge.kind, cards["als"].kind) == ("gradient", "closed_form", "baselines")
    assert (maml.adapts, ridge.adapts) == ("user_prior", "output layer or user vector")
    assert (cards["global_mean"].adapts, cards["als"].adapts) == ("nothing", "user vector, user bias")
    assert maml.parameters["inner_lr"] == 0.4
    assert maml.parameters["engine"] is None  # chosen by itself
    assert "1703.03400" in maml.source


def test_the_command_prints_a_line_or_an_object_for_each(capsys: pytest.CaptureFixture[str]) -> None:
    cli.main(["methods"])
    head, *lines = capsys.readouterr().out.splitlines()
    assert head.split() == ["method", "kind", "order", "adapts", "source", "settings"]
    cli.main(["methods", "--json"])
    entries = json.loads(capsys.readouterr().out)
    assert [line.split()[0] for line in lines] == [entry["name"] for entry in entries]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("# MAML (a paper)\nmodel: {}\n", "sets no model.algorithm.class_path"),
        ("# MAML (a paper)\nmodel: {algorithm: {class_path: metarec.nowhere.X}}\n", "no class metarec.nowhere.X"),
        ("# MAML (a paper)\nmodel: {algorithm: {class_path: metarec.errors.InputError}}\n", "is no Algorithm"),
        ("# MAML\nmodel: {algorithm: {class_path: metarec.baselines.means.ItemMean}}\n", "its source in brackets"),
    ],
)
def test_a_fragment_that_says_too_little_is_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "algorithm").mkdir()
    (tmp_path / "algorithm" / "odd.yaml").write_text(text)
    with pytest.raises(InputError, match=message):
        methods(tmp_path)


def test_a_folder_without_fragments_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no fragments in algorithm or baseline"):
        methods(tmp_path)
