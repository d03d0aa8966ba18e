import numpy as np
import pandas as pd
import pytest

from metarec.data.fetch import Document
from metarec.data.tables import Table, read_lines, read_quoted, read_ratings, read_table
from metarec.errors import InputError

COLUMNS = ["user", "item", "rating", "time"]


def ratings(text: str, **options) -> Table:
    return read_ratings(Document("r.csv", text.encode()), COLUMNS, ",", **{"scale": (0.5, 5), "step": 0.5, **options})


def test_columns_become_numbers():
    table = ratings("1,20,4.0,9\r\n2,30,0.5,-3\r\n")
    assert {name: table.rows[name].tolist() for name in COLUMNS} == {
        "user": [1, 2],
        "item": [20, 30],
        "rating": [4.0, 0.5],
        "time": [9, -3],
    }
    assert table.rows["rating"].dtype == np.float32
    assert table.integers("user").dtype == np.int64


@pytest.mark.parametrize("piece", [1, 10, 25, 1000])
def test_pieces_change_nothing(monkeypatch, piece):
    lines = [f"{user},{item},{(user + item) % 5 + 0.5},{user * item}\n" for user in range(7) for item in range(9)]
    whole = ratings("".join(lines))
    monkeypatch.setattr("metarec.data.lines.PIECE", piece)
    assert ratings("".join(lines)).rows.equals(whole.rows)
    with pytest.raises(InputError, match=r"r\.csv:65: r '9' is not a multiple of 0\.5 from 0\.5 to 5"):
        ratings("u,i,r,t\n" + "".join(lines) + "1,1,9,1\n", header="u,i,r,t")
    with pytest.raises(InputError, match=r"r\.csv:11: 1 column instead of 4 separated by commas"):
        ratings("".join([*lines[:10], "\n", *lines[10:]]))


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("1,1,4.25,1", "rating '4.25' is not a multiple of 0.5"),
        ("1,1,nan,1", "rating 'nan'"),
        ("1,1,,1", "rating ''"),
        ("1.0,1,4,1", "user '1.0' is not a whole number"),
        ("1,1,4,1e9", "time '1e9' is not a whole number"),
        ("1,1,4,99999999999999999999", "time '99999999999999999999' is not"),
        ('"1",1,4,1', "user '\"1\"' is not"),
    ],
)
def test_a_value_that_is_no_such_number_is_named(line, fault):
    with pytest.raises(InputError, match=f"r.csv:2: {fault}"):
        ratings(f"1,2,3,4\n{line}\n")


def test_another_header_is_refused_and_counts_as_a_line():
    document = Document("x", b"\xef\xbb\xbfa,b\r\n1,2\r\n")
    assert read_table(document, ["a", "b"], ",", header="a,b").rows.to_numpy().tolist() == [["1", "2"]]
    with pytest.raises(InputError, match=r"x:1: 'a,b' is another header; the first line must be 'a;b'"):
        read_table(document, ["a", "b"], ",", header="a;b")
    with pytest.raises(InputError, match="x:2: 2 columns instead of 3"):
        read_table(document, ["a", "b", "c"], ",", header="a,b")
    with pytest.raises(InputError, match="x is empty"):
        read_table(Document("x", b"a,b\n"), ["a", "b"], ",", header="a,b")


def test_messages_name_the_columns_as_the_file_does():
    text, columns = "userID\tartistID\tweight\n1\t2\t0\n", ["user", "item", "rating"]
    document = Document("x", text.encode())
    with pytest.raises(InputError, match=r"x:2: weight '0' is not a whole number >= 1; correct or remove the line"):
        read_ratings(document, columns, "\t", (1, np.inf), header="userID\tartistID\tweight")
    table = read_table(document, columns, "\t", header="userID\tartistID\tweight")
    with pytest.raises(InputError, match="x:2: artistID '2' is unheard of; listen again"):
        table.require("item", np.array([False]), "is unheard of", "listen again")
    typed = read_table(
        Document("x", b"id:token\tname:token_seq\n1\ta\n"), ["id", "n"], "\t", header="id:token\tname:token_seq"
    )
    assert typed.header == {"id": "id", "n": "name"}
    quoted = read_quoted(Document("x", b"movieId,title\n1,a\n1,b\n"), ["id", "title"], "movieId,title")
    with pytest.raises(InputError, match="x:3: movieId '1' is listed twice"):
        quoted.by_id()


def test_lines_are_read_whole():
    document = Document("x", "head\n1\t2,3\n\n\u00e9 |\r\n".encode())
    table = read_lines(document, encoding="utf-8", header="head")
    assert (table.rows["line"].tolist(), table.line(2)) == (["1\t2,3", "", "\u00e9 |"], 4)
    with pytest.raises(InputError, match="x:1: 'head' is another header"):
        read_lines(document, header="body")


def test_rows_that_are_taken_keep_their_lines():
    table = Table("x", 3, pd.DataFrame({"id": list("abcd")}))
    for some in (table.at(np.array([3, 1])), table.at(np.array([1, 3, 2])).at(np.array([1, 0]))):
        assert (some.rows["id"].tolist(), some.line(0), some.line(1)) == (["d", "b"], 6, 4)
        with pytest.raises(InputError, match="x:4: id 'b' is wrong"):
            some.require("id", np.array([True, False]), "is wrong")


def test_quoted_values_may_hold_commas_and_quotes():
    text = 'id,title\n1,"Postino, Il"\n2,"11\'09""01"\n3,Am\u00e9lie\n'
    table = read_quoted(Document("m.csv", text.encode()), ["id", "title"], "id,title")
    assert table.rows["title"].tolist() == ["Postino, Il", "11'09\"01", "Am\u00e9lie"]
    assert [table.line(row) for row in range(3)] == [2, 3, 4]


@pytest.mark.parametrize(
    ("lines", "fault"),
    [
        (b"1,a\n2,b,c\n", "m.csv:3: 3 columns instead of 2 separated by commas"),
        (b'1,"a"b\n', "m.csv:2: .*; correct the quotes"),
        (b'1,"a\n2,b\n', "m.csv:3: unexpected end of data; correct the quotes"),
        (b"1,\xe9\n", "m.csv:2: not utf-8"),
    ],
)
def test_a_fault_between_quotes_is_named(lines, fault):
    with pytest.raises(InputError, match=fault):
        read_quoted(Document("m.csv", b"id,title\n" + lines), ["id", "title"], "id,title")
