"""Book-Crossing: ratings of books from 1 to 10, and all that users have read, as clicks."""

import dataclasses
import html

import numpy as np

from metarec.data.assembly import Side, assemble, categorical, listed
from metarec.data.fetch import Document, read_files
from metarec.data.movielens import with_age_group
from metarec.data.ratings import CLICKS, Ratings
from metarec.data.tables import Table, read_lines, read_ratings, read_table
from metarec.data.terms import locate

SIDES = ("users_info.dat", "items_info.dat")
SCALE = (1.0, 10.0)

_BOOK_HEADER = (
    "Book_ID\tISBN\tBook-Title\tBook-Author\tYear-Of-Publication\tPublisher\tImage-URL-S\tImage-URL-M\tImage-URL-L"
)
_BOOK = (
    r"^(?P<id>\d+)\t[^\t]*\t(?P<title>.*?)\t(?P<author>[^\t]*)\t(?P<year>\d{1,4})\t(?P<publisher>.*?)\thttp"
    # a title or a publisher may hold tabs, which stand for semicolons
)


def book_crossing(path: str | None = None) -> Ratings:
    """Book-Crossing: 62,656 ratings of 14,684 books (17,384 are listed) by 1,295 users (2,946 are listed).

    The edition of A. Fortes: users with 20 interactions or more, books with 10 or more. In the crawl itself, a 0 stands
    for a book without a rating; here they are apart, see `book_crossing_history`. Ziegler, McNee, Konstan and Lausen,
    Improving Recommendation Lists Through Topic Diversification, WWW 2005. Terms of use: `metarec.data.terms.TERMS`.

    Args:
        path: folder or archive with book_ratings.dat, users_info.dat and items_info.dat.

    Returns:
        The ratings, 1 to 10, without times, so that an order in time is refused. User attributes: location, country,
        age, age_group (the brackets of MovieLens 1M). Item attributes: author, year, publisher.

    Raises:
        InputError: there is no path, or a file has a fault.
    """
    where, source = locate("book-crossing", path)
    file, *sides = read_files(where, (("book_ratings.dat", *SIDES),))
    table = read_ratings(file, ["user", "item", "rating"], "\t", SCALE, header="user\titem\trating")
    return assemble("book-crossing", source, table, file.digest, SCALE, _users(sides[0]), _books(sides[1]))


def book_crossing_history(path: str | None = None) -> Ratings:
    """Book-Crossing as implicit feedback: 272,678 books that 2,946 users have read, rated or not, of 17,384 books.

    Args:
        path: folder or archive with book_history.dat, users_info.dat and items_info.dat.

    Returns:
        Ratings of 1 on the scale (0, 1), as `metarec.data.sources.clicks` makes them, and else as `book_crossing`.

    Raises:
        InputError: there is no path, or a file has a fault.
    """
    where, source = locate("book-crossing", path)
    file, *sides = read_files(where, (("book_history.dat", *SIDES),))
    table = read_ratings(file, ["user", "item", "rating"], "\t", (1, 1), header="user\titem\taccessed")
    users, books = _users(sides[0]), _books(sides[1])
    return assemble("book-crossing-history", source, table, file.digest, CLICKS, users, books)


def _users(file: Document) -> Side:
    """The users, with the country that their location ends in; lines end with a tab."""
    columns = ["id", "location", "age", "end"]
    table = read_table(file, columns, "\t", encoding="utf-8", header="User-ID\tLocation\tAge")
    country = table.rows["location"].str.rpartition(",")[2].str.strip()
    rows = table.rows.drop(columns="end").assign(country=country)
    return listed(with_age_group(dataclasses.replace(table, rows=rows)))


def _books(file: Document) -> Side:
    """The books; in this edition a tab stands for every semicolon, such as that of ``&amp;``."""
    table = read_lines(file, encoding="utf-8", header=_BOOK_HEADER)
    parts = table.rows["line"].str.replace("&amp\t", "&amp;").str.extract(_BOOK)
    good = parts["id"].notna().to_numpy(dtype=bool)
    table.require("line", good, "is not id, ISBN, title, author, year, publisher and addresses between tabs")
    ids, rows = Table(file.name, table.first_line, parts).by_id()
    rows = rows.replace("\t", ";", regex=True).map(html.unescape).map(str.strip)
    attributes = rows[["author", "year", "publisher"]].assign(year=np.where(rows["year"] == "0", "", rows["year"]))
    return Side(ids, categorical(attributes), list(rows["title"]), file.name)
