"""Terms of use of the data sets, and where those are to be had that are not fetched."""

import sys
from pathlib import Path

from metarec.data.fetch import Archive, cache_folder, obtain
from metarec.errors import InputError

_FIRST_TERMS = (
    "was collected by GroupLens at the University of Minnesota and may be used for research. Do not pass the "
    "data on, do not use it commercially without GroupLens' permission, and do not suggest that the "
    "university or GroupLens endorses what you do with it. Publications that use it acknowledge it: F. M. "
    "Harper and J. A. Konstan (2015). The MovieLens Datasets: History and Context. ACM Transactions on "
    "Interactive Intelligent Systems 5(4), https://doi.org/10.1145/2827872"
)
_LATER_TERMS = (
    "was collected by GroupLens at the University of Minnesota and may be used for research. Pass the data on "
    "under the same terms only, do not use it commercially without GroupLens' permission, and do not suggest that the "
    "university or GroupLens endorses what you do with it. Publications that use it acknowledge it: F. M. "
    "Harper and J. A. Konstan (2015). The MovieLens Datasets: History and Context. ACM Transactions on "
    "Interactive Intelligent Systems 5(4), https://doi.org/10.1145/2827872"
)
_MOVIELENS = "https://grouplens.org/datasets/movielens/"
TERMS = {
    "movielens-100k": f"MovieLens 100K {_FIRST_TERMS}",
    "movielens-1m": f"MovieLens 1M {_FIRST_TERMS}",
    "movielens-latest-small": f"MovieLens latest-small {_LATER_TERMS}",
    "movielens-10m": f"MovieLens 10M {_FIRST_TERMS}",
    "movielens-20m": f"MovieLens 20M {_LATER_TERMS}",
    "movielens-25m": f"MovieLens 25M {_LATER_TERMS}",
    "movielens-32m": f"MovieLens 32M {_LATER_TERMS}",
    "filmtrust": (
        "FilmTrust was crawled from the site of that name in 2011. We know of no licence that comes with it. "
        "Publications cite G. Guo, J. Zhang and N. Yorke-Smith (2013). A Novel Bayesian Similarity Measure for "
        "Recommender Systems. Proceedings of IJCAI 2013, pages 2619-2625"
    ),
    "coat": (
        "Coat was collected at Cornell University. We know of no licence that comes with it. Publications cite T. "
        "Schnabel, A. Swaminathan, A. Singh, N. Chandak and T. Joachims (2016). Recommendations as Treatments: "
        "Debiasing Learning and Evaluation. ICML 2016, arXiv 1602.05352"
    ),
    "book-crossing": (
        "Book-Crossing was collected by C.-N. Ziegler in 2004 with permission of Humankind Systems; the edition is A. "
        "Fortes'. It is free for research that acknowledges it: C.-N. Ziegler, S. M. McNee, J. A. Konstan and G. "
        "Lausen (2005). Improving Recommendation Lists Through Topic Diversification. WWW 2005"
    ),
    "douban-book": (
        "Douban Book was crawled from douban.com. We know of no licence that comes with it. Publications cite C. Shi, "
        "B. Hu, W. X. Zhao and P. S. Yu (2018). Heterogeneous Information Network Embedding for Recommendation. IEEE "
        "Transactions on Knowledge and Data Engineering, arXiv 1711.10730"
    ),
    "lastfm-2k": (
        "Last.FM 2K (hetrec2011-lastfm-2k) comes from last.fm and may be used for purposes that are not commercial. "
        "Publications acknowledge last.fm and cite I. Cantador, P. Brusilovsky and T. Kuflik (2011). 2nd Workshop on "
        "Information Heterogeneity and Fusion in Recommender Systems (HetRec 2011). RecSys 2011"
    ),
    "gowalla": (
        "Gowalla was crawled from the site of that name. We know of no licence that comes with it. Publications cite "
        "E. Cho, S. A. Myers and J. Leskovec (2011). Friendship and Mobility: User Movement in Location-Based Social "
        "Networks. KDD 2011; for the lists, X. He and others (2020). LightGCN. SIGIR 2020, arXiv 2002.02126"
    ),
    "recbole-atomic": (
        "RecBole's atomic files: the terms of use are those of the data set that they hold; see the page that "
        "it comes from. RecBole: W. X. Zhao and others (2021). CIKM 2021, arXiv 2011.01731"
    ),
}
"""By data set, the terms of use in our words; the README in the data set's archive is what counts."""

PAGE: dict[str, str] = {
    **dict.fromkeys((f"movielens-{size}" for size in ("latest-small", "10m", "20m", "25m", "32m")), _MOVIELENS),
    "filmtrust": "https://guoguibing.github.io/librec/datasets.html",
    "coat": "https://www.cs.cornell.edu/~schnabts/mnar/",
    "book-crossing": "https://arthurfortes.github.io/",
    "douban-book": "https://github.com/librahu/HERec or https://github.com/rootlu/MetaHIN",
    "lastfm-2k": "https://grouplens.org/datasets/hetrec-2011/",
    "gowalla": "https://github.com/kuandeng/LightGCN",
    "recbole-atomic": "https://github.com/RUCAIBox/RecDatasets",
}
"""By data set, the page it is had from."""


def locate(
    name: str, path: str | None, archives: tuple[Archive, ...] = (), cache: str | None = None
) -> tuple[Path, str]:
    """Where a data set lies: where the user says, else in an archive that is fetched; prints its terms of use once.

    Args:
        name: the data set, a key of `TERMS`.
        path: its folder or archive, as the user gave it; null: it is fetched.
        archives: what it can be fetched as; empty: it is had by its path only.
        cache: folder for what is fetched, and for the mark that the terms were shown; null: the default.

    Returns:
        The folder or archive, and which source that is, for people to read.

    Raises:
        InputError: there is no path, and nothing is fetched, or nothing can be.
    """
    if path is not None:
        found = Path(path).expanduser(), f"path {path}"
    elif archives:
        found = obtain(name, archives, cache)
    else:
        raise InputError(f"{name} is not fetched; get it from {PAGE[name]} and give its folder or archive as path")
    terms = unseen_terms(name, cache)
    if terms:
        print(terms, file=sys.stderr)
    return found


def unseen_terms(name: str, cache: str | None = None) -> str | None:
    """The terms of use of a data set, the first time that they are asked for.

    Args:
        name: the data set, a key of `TERMS`.
        cache: the cache folder, where a marker file remembers it; where it cannot be written, every time is
            the first.

    Returns:
        The text, or None if it was given before.

    Raises:
        InputError: there is no such data set.
    """
    if name not in TERMS:
        raise InputError(f"no terms of use for {name!r}; allowed: {', '.join(TERMS)}")
    marker = cache_folder(cache) / name / "licence-shown"
    try:
        marker.parent.mkdir(parents=True, exist_ok=True)
        marker.touch(exist_ok=False)
    except FileExistsError:
        if marker.is_file():
            return None
    except OSError:
        pass
    return TERMS[name]
