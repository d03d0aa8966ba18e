import pytest

from metarec.data import terms
from metarec.data.terms import TERMS, locate, unseen_terms
from metarec.errors import InputError


def test_terms_are_shown_once_a_cache(tmp_path):
    text = unseen_terms("movielens-100k", str(tmp_path))
    assert text == TERMS["movielens-100k"]
    assert "10.1145/2827872" in text
    assert unseen_terms("movielens-100k", str(tmp_path)) is None
    assert unseen_terms("movielens-1m", str(tmp_path)) is not None
    with pytest.raises(InputError, match="allowed: movielens-100k, movielens-1m"):
        unseen_terms("movies", str(tmp_path))


def test_terms_are_shown_where_nothing_can_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    for _ in range(2):
        assert unseen_terms("movielens-1m", str(tmp_path / "file")) == TERMS["movielens-1m"]


def test_a_set_without_an_archive_is_given_by_its_path(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("METAREC_CACHE", str(tmp_path))
    monkeypatch.setitem(terms.PAGE, "thing", "https://example.org/thing")
    monkeypatch.setitem(terms.TERMS, "thing", "may be used")
    for shown in ("may be used\n", ""):
        assert locate("thing", "a/b")[1] == "path a/b"
        assert capsys.readouterr().err == shown
    with pytest.raises(
        InputError, match=r"thing is not fetched; get it from https://example\.org/thing and give its folder"
    ):
        locate("thing", None)


def test_every_page_has_terms():
    assert set(terms.PAGE) <= set(TERMS)


def test_the_terms_that_differ_say_so():
    """MovieLens 100K, 1M and 10M may not be passed on at all, the later ones under the same terms."""
    never = {name for name, text in TERMS.items() if "Do not pass the data on," in text}
    same = {name for name, text in TERMS.items() if "Pass the data on under the same terms only," in text}
    assert never == {"movielens-100k", "movielens-1m", "movielens-10m"}
    assert same == {name for name in TERMS if name.startswith("movielens-")} - never
