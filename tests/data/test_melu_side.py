"""MeLU's film attributes from a tiny fake in the real format, and from the real files in METAREC_DATA."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from metarec.data.ratings import FeatureTable
from metarec.data.sources import movielens_1m
from metarec.errors import InputError

ML_1M = {
    "ratings.dat": "1::3::5::978300760\n2::1::4::2\n",
    "users.dat": "1::F::1::10::48067-2117\n2::M::56::16::48067\n",
    "movies.dat": "1::Toy Story (1995)::Animation\n3::Café (1990)::Drama\n7::X (2000)::War\n9::Y (2000)::War\n",
}
SIDE = (
    "7::X::2000::UNRATED::N/A::N/A::N/A::N/A::N/A::N/A::N/A\r\n"
    "1::Toy Story::1995::G::22 Nov 1995::Animation, Comedy::John Lasseter, Lee Unkrich(co-director)::P (story)"
    "::Tom Hanks, Tim Allen, Don Rickles::A doll: named ::https://x/a.jpg\r\n"
    "3::Café::1990::R::1990::Drama::Ana Peña, Ana Peña::N/A::Tim Allen::Plot::N/A\r\n"
)


def write(folder: Path, side: str = SIDE) -> dict[str, str]:
    for name, text in ML_1M.items():
        (folder / name).write_bytes(text.encode("latin-1"))
    (folder / "melu_side").mkdir()
    (folder / "melu_side" / "movies_extrainfos.dat").write_bytes(side.encode())
    return {"path": str(folder), "side": str(folder / "melu_side")}


def listed(table: FeatureTable, name: str) -> list[list[str]]:
    return [[table.values[name][code] for code in row if code] for row in table.lists[name]]


def test_films_get_what_the_file_says_of_them(tmp_path: Path) -> None:
    ratings = movielens_1m(**write(tmp_path))
    items = ratings.item_features
    assert [items.values["mpaa"][code] for code in items.categorical["mpaa"]] == ["", "G", "R", "UNRATED", ""]
    genres = [[items.values["imdb_genre"][c] for c in np.flatnonzero(row)] for row in items.multi_hot["imdb_genre"]]
    assert genres == [[], ["Animation", "Comedy"], ["Drama"], ["N/A"], []]
    assert listed(items, "director") == [[], ["John Lasseter", "Lee Unkrich"], ["Ana Peña"], ["N/A"], []]
    assert listed(items, "actor") == [[], ["Don Rickles", "Tim Allen", "Tom Hanks"], ["Tim Allen"], ["N/A"], []]
    assert items.lists["actor"].shape == (5, 3)
    assert ratings.user_features.values["zip5"] == ("", "48067")
    assert ratings.source == f"path {tmp_path}; films of {tmp_path}/melu_side/movies_extrainfos.dat"


def test_nothing_else_changes(tmp_path: Path) -> None:
    where = write(tmp_path)
    plain, ratings = movielens_1m(where["path"]), movielens_1m(**where)
    for name in ("name", "digest", "item_ids", "item_titles", "user_ids"):
        assert getattr(ratings, name) == getattr(plain, name)
    for side in ("user_features", "item_features"):
        before, after = getattr(plain, side), getattr(ratings, side)
        assert before.values.items() <= after.values.items()
        for kind in ("categorical", "multi_hot"):
            for name, column in getattr(before, kind).items():
                np.testing.assert_array_equal(getattr(after, kind)[name], column)
    assert plain.item_features.schema == {"categorical": {"year": 4}, "multi_hot": {"genre": 3}}
    assert set(plain.user_features.categorical) == {"gender", "age", "occupation", "zip", "age_group"}


@pytest.mark.parametrize(
    ("side", "message"),
    [
        ("", r"movies_extrainfos\.dat is empty"),
        (SIDE + SIDE[: SIDE.index("1::Toy")], r"dat:4: id '7' is listed twice"),
        (SIDE.replace("3::Café", "4::Café"), r"dat:3: id '4' is no film of the data set"),
        (SIDE.replace("3::Café", "x::Café"), r"dat:3: id 'x' is not a whole number"),
        (SIDE.replace("Drama::", "Drama "), r"dat:3: 10 columns instead of 11 separated by ::"),
        (SIDE[:-8], r"dat:3: the file ends in the middle of this line"),
    ],
)
def test_a_bad_file_is_named(tmp_path: Path, side: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        movielens_1m(**write(tmp_path, side))


def test_a_folder_without_the_file_is_refused(tmp_path: Path) -> None:
    where = write(tmp_path)
    with pytest.raises(InputError, match=r"holds no movies_extrainfos\.dat"):
        movielens_1m(where["path"], side=where["path"])
    with pytest.raises(InputError, match=r"cannot read .*nowhere"):
        movielens_1m(where["path"], side=str(tmp_path / "nowhere"))


def test_values_are_those_of_the_published_lists(real: Callable[[str], str]) -> None:
    """All values of ``m_*.txt``, no others; ``nan`` there is ``N/A`` in the file."""
    folder = Path(real("ml-1m/melu_side")).parent
    ratings = movielens_1m(str(folder), side=str(folder / "melu_side"))
    values, counts = {**ratings.item_features.values, **ratings.user_features.values}, {}
    for name, own in (
        ("rate", "mpaa"),
        ("genre", "imdb_genre"),
        ("director",) * 2,
        ("actor",) * 2,
        ("zipcode", "zip5"),
    ):
        published = (folder / "melu_side" / f"m_{name}.txt").read_text(encoding="utf-8").split("\n")
        assert {"N/A" if value == "nan" else value for value in published} - {""} == {*values[own]} - {""}
        counts[own] = len(values[own]) - values[own].count("")
    assert counts == {"mpaa": 6, "imdb_genre": 25, "director": 2_186, "actor": 7_978, "zip5": 3_402}
    films = ratings.item_features
    assert [ratings.item_ids[row] for row in np.flatnonzero(films.categorical["mpaa"] == 0)] == ["", "860", "1795"]
    assert listed(films, "actor")[1] == ["Don Rickles", "Jim Varney", "Tim Allen", "Tom Hanks"]
    assert films.lists["director"].shape == (3_884, 12)
