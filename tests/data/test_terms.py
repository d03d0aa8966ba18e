import pytest

from metarec.data import terms
from metarec.data.terms import LICENCE, located, show_licence_once
from metarec.errors import InputError


def test_licence_is_shown_once_a_cache(tmp_path):
    text = show_licence_once("movielens-100k", str(tmp_path))
    assert text == LICENCE["movielens-100k"]
    assert "10.1145/2827872" in text
    assert show_licence_once("movielens-100k", str(tmp_path)) is None
    assert show_licence_once("movielens-1m", str(tmp_path)) is not None
    with pytest.raises(InputError, match="allowed: movielens-100k, movielens-1m"):
        show_licence_once("movies", str(tmp_path))


def test_licence_is_shown_where_nothing_can_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    for _ in range(2):
        assert show_licence_once("movielens-1m", str(tmp_path / "file")) == LICENCE["movielens-1m"]


def test_a_set_without_an_archive_is_given_by_its_path(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("METAREC_CACHE", str(tmp_path))
    monkeypatch.setitem(terms.PAGE, "thing", "https://example.org/thing")
    monkeypatch.setitem(terms.LICENCE, "thing", "may be used")
    for shown in ("may be used\n", ""):
        assert located("thing", "a/b")[1] == "path a/b"
        assert capsys.readouterr().err == shown
    with pytest.raises(InputError, match=r"no archive .* https://example\.org/thing and give its folder"):
        located("thing", None)


def test_every_page_has_terms():
    assert set(terms.PAGE) <= set(LICENCE)
