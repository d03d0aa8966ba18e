"""Douban Book: ratings of books, as the papers on heterogeneous information networks use them."""

from metarec.data.assembly import assemble, looked_up, rated
from metarec.data.fetch import read_files
from metarec.data.ratings import Ratings
from metarec.data.tables import read_ratings, read_table
from metarec.data.terms import locate

SIDES = ("user_location.dat", "book_author.dat", "book_publisher.dat", "book_year.dat")
LAYOUTS = (("ratings.csv", *SIDES), ("user_book.dat", *SIDES))
SCALE = (1.0, 5.0)
PARTS = ("meta_training", "warm_up", "user_cold", "item_cold", "user_item_cold")
"""MetaHIN's parts, in `Ratings.parts`."""


def douban_book(path: str | None = None) -> Ratings:
    """Douban Book: the 649,381 ratings of 20,934 books by 10,551 users that MetaHIN uses, or all those of HERec.

    With ratings.csv, `Ratings.parts` are MetaHIN's, `PARTS`, for `metarec.data.sources.only`. Friends (user_user.dat)
    are not read. Shi, Hu, Zhao and Yu, Heterogeneous Information Network Embedding for Recommendation, TKDE 2018, arXiv
    1711.10730; Lu, Fang and Shi, Meta-learning on Heterogeneous Information Networks for Cold-start Recommendation, KDD
    2020. Terms of use: `metarec.data.terms.TERMS`.

    Args:
        path: folder or archive with user_location.dat, book_author.dat, book_publisher.dat, book_year.dat, and either
            ratings.csv (user, item, rating and part between commas, with a header) or user_book.dat (user, item and
            rating between tabs).

    Returns:
        The ratings, without times, so that an order in time is refused. User attribute: location. Item attributes:
        author, publisher, year. All of them are numbers without meaning, the year too.

    Raises:
        InputError: there is no path, or a file has a fault.
    """
    where, source = locate("douban-book", path)
    file, *sides = read_files(where, LAYOUTS)
    columns = ["user", "item", "rating"]
    if file.name.endswith(LAYOUTS[0][0]):
        table = read_ratings(file, [*columns, "part"], ",", SCALE, header="user,item,rating,split")
        good = table.rows["part"].isin(PARTS).to_numpy(dtype=bool)
        table.require("part", good, f"is none of {', '.join(PARTS)}")
    else:
        table = read_ratings(file, columns, "\t", SCALE)
    location, author, publisher, year = (read_table(side, ["id", "value"], "\t") for side in sides)
    users = looked_up(rated(table, "user"), {"location": location})
    books = looked_up(rated(table, "item"), {"author": author, "publisher": publisher, "year": year})
    return assemble("douban-book", source, table, file.digest, SCALE, users, books)
