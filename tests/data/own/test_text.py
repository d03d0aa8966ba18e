"""Text files read in pieces, with Python's csv module as the oracle."""

import csv
import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metarec.data.own import text
from metarec.data.own.text import TextFile
from metarec.errors import InputError

WORD = st.text(st.sampled_from('ab,;"\n é€'), max_size=5)


def written(folder, content, **options):
    """The file opened; text is written in UTF-8."""
    path = folder / "f.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return TextFile(path, **options)


def rows_of(file, codes=(), strings=None):
    tables = [table.to_pylist() for table in file.tables(list(codes), file.columns if strings is None else strings)]
    return [list(row.values()) for table in tables for row in table]


@settings(max_examples=60, deadline=None)
@given(rows=st.lists(st.tuples(WORD, WORD, st.sampled_from("xyz")), min_size=1, max_size=30), piece=st.integers(1, 80))
def test_any_words_come_back_whole_from_pieces_of_any_size(tmp_path_factory, rows, piece):
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows([("a", "b", "c"), *rows])
    folder = tmp_path_factory.mktemp("own")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(text, "PIECE", piece)
        patch.setattr(text, "LONGEST", 10**6)
        file = written(folder, out.getvalue())
        assert [tuple(row) for row in rows_of(file, ["a"], ["b", "c"])] == rows
        starts, line = [], 2
        for row in rows:
            starts.append(line)
            line += 1 + sum(word.count("\n") for word in row)
        assert [file.place(row) for row in range(len(rows))] == [f"{folder / 'f.csv'}:{start}" for start in starts]


@pytest.mark.parametrize(
    ("content", "options"),
    [
        (b"u,i\r\nb\xc3\xa9,1\r\nc,2\r\n", {}),
        (b"\xef\xbb\xbfu,i\nb\xc3\xa9,1\nc,2\n", {}),
        (b"\xef\xbb\xbfu,i\nb\xc3\xa9,1\nc,2\n", {"encoding": "latin-1"}),
        (b"u,i\nb\xe9,1\nc,2\n", {"encoding": "latin-1"}),
        ("u,i\nbé,1\nc,2\n".encode("utf-16"), {"encoding": "utf-16"}),
        (b"b\xc3\xa9,1\nc,2\n", {"columns": ["u", "i"]}),
        (b"u::i\nb\xc3\xa9::1\nc::2\n", {"separator": "::"}),
        ("u§i\nbé§1\nc§2\n".encode(), {"separator": "§"}),
        (b"u\ti\n\nb\xc3\xa9\t1\n\nc\t2\n\n", {"separator": "\t"}),
        (b'u,i\n"b\xc3\xa9",1\n"c","2"\n', {}),
        (b"u,i\n'b\xc3\xa9',1\nc,2\n", {"quote": "'"}),
        (b"u , i\nb\xc3\xa9,1\nc,2\n", {}),
    ],
)
def test_all_ways_to_write_a_file_say_the_same(tmp_path, content, options):
    file = written(tmp_path, content, **options)
    assert (file.columns, rows_of(file)) == (["u", "i"], [["bé", "1"], ["c", "2"]])


def test_without_quotes_they_are_characters(tmp_path):
    assert rows_of(written(tmp_path, 'u,i\n5" disc,"\n', quote=None)) == [['5" disc', '"']]


def test_other_columns_may_hold_anything_and_have_any_name(tmp_path):
    file = written(tmp_path, "u,x,x,i\n1,,,2\n3,a,b,4\n")
    file.require_columns(["u", "i"])
    assert rows_of(file, ["i"], ["u"]) == [["2", "1"], ["4", "3"]]
    with pytest.raises(InputError, match=r"f\.csv:1: column 'x' is there twice"):
        file.require_columns(["u", "x"])


@pytest.mark.parametrize(
    ("content", "options", "message"),
    [
        ("", {}, r"f\.csv is empty"),
        ("\n\n", {}, r"f\.csv is empty"),
        ("", {"columns": ["u", "i"]}, r"f\.csv holds no row; get"),
        ("u,i\n", {}, r"f\.csv holds no row but its header"),
        ("u,i\n\n", {}, r"f\.csv holds no row but its header"),
        ("u,i\n1,2\n3", {}, r"f\.csv:3: the file ends in the middle of this line"),
        ("u,i\n1,2\n3,4", {}, r"f\.csv:3: the file ends in the middle of this line"),
        ("u,i", {}, r"f\.csv:1: the file ends in the middle of this line"),
        ("u,i\n1,2\n\n3,4,5\n6\n", {}, r"f\.csv:4: 3 values instead of 2, separated by ','"),
        ('u,i\n"1\n0",2\n3\n', {}, r"f\.csv:4: 1 value instead of 2"),
        ('u,i\n1,2\n"3,4\n5,6\n', {}, r"f\.csv:3: a quote is opened on this line or behind it, and not closed"),
        (b"u,i\n1,2\n\xe9,3\n", {}, r"f\.csv:3: no text in utf-8; give the encoding"),
        ("u,i\n1,2\n".encode("utf-16"), {}, r"f\.csv:1: no text in utf-8; give the encoding it has, such as utf-16"),
        (b"u,i\n1,2\n\xff\xfe\x00\n", {}, r"f\.csv:3: no text in utf-8"),
        (b"u,i\n1,2\n\x81,3\n", {"encoding": "cp1252"}, r"f\.csv:3: no text in cp1252"),
        ("u,i\n", {"encoding": "klingon"}, "encoding 'klingon' is unknown; give one such as utf-8"),
        ("u,i\n", {"encoding": "base64"}, "encoding 'base64' is unknown"),
        ("u,i\n", {"separator": ""}, "separator ''"),
        ("u,i\n", {"separator": "\n"}, "separator"),
        ("u,i\n", {"quote": '""'}, "quote '\"\"': give one character, or null"),
    ],
)
def test_a_fault_is_one_line_that_says_where(tmp_path, content, options, message):
    with pytest.raises(InputError, match=message) as error:
        rows_of(written(tmp_path, content, **options))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("content", "options", "message"),
    [
        ("u;i;r\n1;2;3\n", {}, r"no column 'user'; there is 'u;i;r'; give separator ';'"),
        ("u\ti\n1\t2\n", {}, r"give separator '\\t' \(a tab\)"),
        ("u::i\n1::2\n", {}, r"give separator '::'"),
        ("u,i\n1,2\n", {"separator": ";"}, r"give separator ','"),
        ("users,i\n1,2\n", {}, r"no column 'user'; there are 'users', 'i'; did you mean users\?"),
    ],
)
def test_a_wrong_separator_or_name_comes_with_the_right_one(tmp_path, content, options, message):
    with pytest.raises(InputError, match=message):
        written(tmp_path, content, **options).require_columns(["user"])


def test_a_file_without_an_end_of_rows_is_given_up(tmp_path, monkeypatch):
    monkeypatch.setattr(text, "PIECE", 16)
    monkeypatch.setattr(text, "LONGEST", 64)
    with pytest.raises(InputError, match=r"f\.csv:2: no row ends behind this line; check quote and separator"):
        rows_of(written(tmp_path, 'u,i\n"1,2\n' + "3,4\n" * 100))


def test_a_missing_file_and_a_folder_are_named(tmp_path):
    for path in (tmp_path, tmp_path / "absent.csv"):
        with pytest.raises(InputError, match=f"cannot read {path} "):
            TextFile(path)
