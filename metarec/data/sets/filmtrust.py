"""FilmTrust: half-star ratings of films, without times or attributes."""

from metarec.data.assembly import assemble, rated, without_repeats
from metarec.data.fetch import read_files
from metarec.data.ratings import Ratings
from metarec.data.tables import read_ratings
from metarec.data.terms import locate

LAYOUT = ("ratings.txt",)
SCALE = (0.5, 4.0)


def filmtrust(path: str | None = None) -> Ratings:
    """FilmTrust: 35,497 ratings of 2,071 films by 1,508 users on the scale 0.5 to 4, in steps of 0.5.

    Three pairs of a user and a film are rated twice in the file as published. The rating on the later line counts, as
    a second opinion replaces the first: 35,494 are left, and the source says so. The links of trust between users are
    not read. Guo, Zhang and Yorke-Smith, A Novel Bayesian Similarity Measure for Recommender Systems, IJCAI 2013. Terms
    of use: `metarec.data.terms.TERMS`.

    Args:
        path: folder or archive with ratings.txt, lines of user, film and rating between blanks.

    Returns:
        The ratings, without times, so that an order in time is refused, and without attributes.

    Raises:
        InputError: there is no path, or the file has a fault.
    """
    where, source = locate("filmtrust", path)
    [file] = read_files(where, (LAYOUT,))
    table, repeats = without_repeats(read_ratings(file, ["user", "item", "rating"], " ", SCALE, 0.5))
    sides = rated(table, "user"), rated(table, "item")
    return assemble("filmtrust", source + repeats, table, file.digest, SCALE, *sides)
