"""Last.FM 2K from a tiny fake in the real format, and from the real files in METAREC_DATA."""

import functools

import numpy as np
import pytest

from metarec.data.sets.lastfm_2k import lastfm_2k
from metarec.data.sources import describe
from metarec.errors import InputError
from tests.data.sets.fakes import written

FAKE = {
    "user_artists.dat": "userID\tartistID\tweight\n2\t51\t13883\n2\t52\t1\n7\t51\t20\n",
    "artists.dat": "id\tname\turl\tpictureURL\n51\tMot\u00f6rhead\thttp://a\thttp://b\n52\tAC/DC\thttp://c\t\n",
    "user_taggedartists.dat": "userID\tartistID\ttagID\tday\tmonth\tyear\n"
    "2\t51\t13\t1\t4\t2009\n7\t52\t13\t1\t4\t2009\n7\t51\t14\t1\t4\t2009\n7\t99\t14\t1\t4\t2009\n",
    "tags.dat": "tagID\ttagValue\n13\tmetal\n14\tloud\n",
}


write = functools.partial(written, FAKE)


def test_plays_are_clicks(tmp_path):
    ratings = lastfm_2k(write(tmp_path))
    assert (ratings.user.tolist(), ratings.item.tolist(), ratings.rating.tolist()) == ([1, 1, 2], [1, 2, 1], [1, 1, 1])
    assert (ratings.scale, ratings.timed, ratings.user_ids) == ((0, 1), False, ("", "2", "7"))
    assert ratings.item_titles == ("", "Mot\u00f6rhead", "AC/DC")
    assert ratings.item_features.values == {}


def test_few_plays_can_be_left_out(tmp_path):
    ratings, often = lastfm_2k(write(tmp_path)), lastfm_2k(str(tmp_path), min_plays=20)
    assert (often.user.tolist(), often.item.tolist(), often.schema) == ([1, 2], [1, 1], ratings.schema)
    assert often.source.endswith("; the 2 of 3 pairs with 20 plays or more")
    assert often.digest != ratings.digest
    with pytest.raises(InputError, match="min_plays 13884: no artist was played so often; give 13883 or less"):
        lastfm_2k(str(tmp_path), min_plays=13884)


def test_tags_on_request(tmp_path):
    tagged = lastfm_2k(write(tmp_path), tags=2)
    digests = {lastfm_2k(str(tmp_path), tags=tags, min_plays=plays).digest for tags in (0, 1, 2) for plays in (1, 20)}
    assert len(digests) == 6
    write(tmp_path, tags="tagID\ttagValue\n13\tmetal\n14\tquiet\n")
    assert lastfm_2k(str(tmp_path), tags=2).digest not in digests
    assert "tag" not in tagged.item_features.values
    features = tagged.settled(np.arange(len(tagged))).item_features
    assert features.values["tag"] == ("loud", "metal")
    assert features.multi_hot["tag"].tolist() == [[0, 0], [1, 1], [0, 0]]  # 7 has not played 52
    (tmp_path / "tags.dat").unlink()
    with pytest.raises(InputError, match=r"no tags\.dat"):
        lastfm_2k(str(tmp_path), tags=2)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (
            {"user_artists": FAKE["user_artists.dat"] + "7\t52\t0\n"},
            r"user_artists\.dat:5: weight '0' is not a whole number >= 1;",
        ),
        (
            {"user_artists": FAKE["user_artists.dat"] + "7\t53\t4\n"},
            r"user_artists\.dat:5: artistID '53' is not in .*/artists\.dat;",
        ),
        ({"tags": "tagID\ttagValue\n13\tmetal\n"}, r"user_taggedartists\.dat:4: tagID '14' is not in .*/tags\.dat"),
    ],
)
def test_bad_lines_are_named(tmp_path, changed, message):
    with pytest.raises(InputError, match=message):
        lastfm_2k(write(tmp_path, **changed), tags=1)


def test_real_lastfm(real):
    ratings = lastfm_2k(real("lastfm-2k"), tags=5)
    summary = describe(ratings)
    counts = [summary[key] for key in ("ratings", "users_rated", "items_listed", "items_rated", "mean_rating")]
    assert counts == [92_834, 1_892, 17_632, 17_632, 1.0]
    assert ratings.item_titles[1] == "MALICE MIZER"
    assert len(lastfm_2k(real("lastfm-2k"), min_plays=100)) == 71_079
    settled = ratings.settled(np.arange(len(ratings)))
    assert settled.item_features.values["tag"] == ("alternative", "electronic", "female vocalists", "pop", "rock")
