import numpy as np
import pandas as pd
import pytest

from metarec.data.assembly import (
    Side,
    assemble,
    categorical,
    joint_digest,
    looked_up,
    rated,
    without_repeats,
)
from metarec.data.fetch import Document
from metarec.data.tables import Table
from metarec.errors import InputError

ROWS = {"user": [7, 3, 7], "item": [5, 5, 9], "rating": [1.0, 2.0, 3.0]}


def table(**more) -> Table:
    return Table("x", 2, pd.DataFrame({**ROWS, **more}))


def assembled(of: Table, **sides):
    users, items = sides.get("users", rated(of, "user")), sides.get("items", rated(of, "item"))
    return assemble("name", "source", of, "digest", (1, 3), users, items)


def test_ids_become_rows_from_one_on():
    ratings = assembled(table(time=[1, 2, 3]))
    assert (ratings.user.tolist(), ratings.item.tolist()) == ([2, 1, 2], [1, 1, 2])
    assert (ratings.user_ids, ratings.item_ids, ratings.item_titles) == (("", "3", "7"), ("", "5", "9"), ("", "5", "9"))
    assert (ratings.rating.tolist(), ratings.rating.dtype) == ([1, 2, 3], np.float32)
    assert (ratings.time.tolist(), ratings.timed, ratings.part, ratings.parts) == ([1, 2, 3], True, None, ())


def test_ids_may_be_strings_in_any_order():
    of = table(user=["b", "a", "b"])
    ratings = assembled(of, users=Side(("z", "b", "a")))
    assert (ratings.user.tolist(), ratings.user_ids) == ([2, 3, 2], ("", "z", "b", "a"))


def test_without_times_and_with_parts():
    ratings = assembled(table(part=["p", "q", "p"]))
    assert (ratings.time.tolist(), ratings.time.dtype, ratings.timed) == ([0, 0, 0], np.int64, False)
    assert (ratings.part.tolist(), ratings.parts) == ([0, 1, 0], ("p", "q"))


def test_ids_that_are_not_listed_and_pairs_that_come_twice_are_named():
    with pytest.raises(InputError, match="x:4: item '9' is not in the list of items; "):
        assembled(table(), items=Side(np.array([5])))
    with pytest.raises(InputError, match=r"x:4: item '9' is not in films\.txt; .*, or add what it names there"):
        assembled(table(), items=Side(np.array([5]), file="films.txt"))
    with pytest.raises(InputError, match="x:4: user '7' rates item 5 again after line 2"):
        assembled(table(item=[5, 5, 5]))


def test_of_repeats_the_last_one_counts():
    left, note = without_repeats(table(item=[5, 5, 5]))
    assert (left.rows["rating"].tolist(), left.line(0), left.line(1)) == ([2, 3], 3, 4)
    assert note == "; 1 earlier rating of the same pair left out"
    assert without_repeats(table(user=[7, 7, 7], item=[5, 5, 5]))[1] == "; 2 earlier ratings of the same pair left out"
    assert without_repeats(table())[1] == ""
    assert len(assembled(left)) == 2


def test_every_column_is_an_attribute():
    features = categorical(pd.DataFrame({"colour": ["red", "", "blue"]}))
    assert features.values == {"colour": ("", "blue", "red")}
    assert features.categorical["colour"].tolist() == [0, 2, 0, 1]


def test_a_joint_digest_sees_every_file():
    one, other = Document("a", b"1"), Document("b", b"2")
    digests = {joint_digest(files) for files in ([one, other], [other, one], [one, one], [one])}
    assert len(digests) == 4


def test_attributes_are_looked_up_by_id():
    table = Table("t", 1, pd.DataFrame({"id": ["9", "4", "5"], "value": ["x", "y", "z"]}))
    features = looked_up(Side(np.array([5, 7, 9])), {"author": table}).features
    assert [features.values["author"][code] for code in features.categorical["author"]] == ["", "z", "", "x"]
    again = Table("t", 1, pd.DataFrame({"id": ["9", "9"], "value": ["x", "y"]}))
    with pytest.raises(InputError, match="t:2: id '9' is listed twice"):
        looked_up(Side(np.array([9])), {"author": again})
