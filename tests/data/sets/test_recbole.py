"""RecBole's atomic files from tiny fakes in their format, and from the real ones in the package, if it is cached."""

import zipfile

import numpy as np
import pytest

from metarec.data import assembly
from metarec.data.fetch import cache_folder
from metarec.data.numeric import OTHER
from metarec.data.sets.recbole import recbole_atomic
from metarec.data.sources import describe
from metarec.errors import InputError
from tests.data.test_movielens import attribute

FAKE = {
    "inter": "user_id:token\titem_id:token\trating:float\ttimestamp:float\n"
    "b\tx9\t3\t20.7\na\tx1\t5\t-3\nb\tx9\t1.5\t10\nb\ty\t2\t30\n",
    "user": "user_id:token\tage:float\tgender:token\na\t31.0\tF\nc\t\tM\n",
    "item": "item_id:token\tname:token_seq\tclass:token_seq\tvector:float_seq\n"
    "x9\tCaf\u00e9 Noir\tDrama War\t0.1 0.2\nx1\tHeat\t\t1 2\n",
}


def write(folder, kinds=("inter", "user", "item"), **changed):
    folder = folder / "toy"
    folder.mkdir()
    for kind in kinds:
        (folder / f"toy.{kind}").write_text(changed.get(kind, FAKE[kind]), encoding="utf-8", newline="")
    return str(folder)


def test_all_three_files(tmp_path):
    ratings = recbole_atomic(write(tmp_path), title="name").settled(np.arange(3))
    assert (ratings.name, ratings.scale, ratings.user_ids) == ("toy", (2, 5), ("", "a", "b", "c"))
    assert (ratings.item_ids, ratings.item_titles) == (("", "x1", "x9", "y"), ("", "Heat", "Caf\u00e9 Noir", "y"))
    rows = zip(
        ratings.user.tolist(), ratings.item.tolist(), ratings.rating.tolist(), ratings.time.tolist(), strict=True
    )
    assert list(rows) == [(1, 1, 5, -3), (2, 2, 3, 20), (2, 3, 2, 30)]
    assert ratings.source.endswith(
        "; 1 earlier rating of the same pair left out; 1 of 3 times are negative (before 1970)"
        "; found in training: the scale 2 to 5, 2 values of age"
    )
    assert [attribute(ratings.user_features, "age", row) for row in range(4)] == ["", "31", "", ""]
    assert [attribute(ratings.user_features, "gender", row) for row in range(4)] == ["", "F", "", "M"]
    assert ratings.schema["item_features"] == {"categorical": {}, "multi_hot": {"class": 2}}
    assert ratings.item_features.multi_hot["class"].tolist() == [[0, 0], [0, 0], [1, 1], [0, 0]]


def test_the_ratings_are_enough(tmp_path):
    folder = write(tmp_path, kinds=["inter"], inter="item_id:token\tuser_id:token\n7\ta\n8\ta\n7\tb\n")
    ratings = recbole_atomic(folder, rating=None, time=None)
    assert (ratings.rating.tolist(), ratings.scale, ratings.timed) == ([1, 1, 1], (0, 1), False)
    assert (ratings.user.tolist(), ratings.item_ids) == ([1, 1, 2], ("", "7", "8"))
    with pytest.raises(InputError, match=r"holds no toy\.user, but fields of it are asked for"):
        recbole_atomic(folder, rating=None, time=None, user_attributes=["age"])


def test_other_options_and_other_files_are_other_data(tmp_path):
    """Weights are bound to the digest: no other rows, and no other order of users and items, may have the same."""
    fields = "user_id:token\titem_id:token\tstars:float\tlikes:float\tat:float\tseen:float\n"
    inter = f"{fields}1\t2\t3\t5\t5\t6\n1\t3\t5\t3\t2\t9\n"
    folder = write(tmp_path, inter=inter)
    options = [{"rating": None, "time": None}]
    options += [{"rating": rating, "time": time} for rating in ("stars", "likes") for time in ("at", "seen", None)]
    options += [{"rating": "stars", "time": "at", "scale": (1, 5)}]
    digests = {recbole_atomic(folder, **some).digest for some in options}
    assert len(digests) == len(options)
    assert recbole_atomic(folder, **options[-1]).digest in digests
    for kind in ("user", "item"):
        path = tmp_path / "toy" / f"toy.{kind}"
        path.write_text(FAKE[kind].replace("\nx1\t", "\nx0\t").replace("\na\t", "\nz\t"), encoding="utf-8")
        changed = recbole_atomic(folder, **options[-1]).digest
        assert changed not in digests
        digests.add(changed)


def test_other_attributes_titles_and_names_are_other_data(tmp_path):
    """They are what a net is built on, and what is printed; the same ones in another list are the same."""
    folder = write(tmp_path)
    options = [{}, {"title": "name"}, {"name": "other"}, {"user_attributes": ["age"]}, {"user_attributes": []}]
    options += [{"item_attributes": ["class"]}, {"item_attributes": ["name"]}]
    for kind, text in FAKE.items():
        (tmp_path / "toy" / f"other.{kind}").write_text(text, encoding="utf-8")
    digests = {recbole_atomic(folder, **some).digest for some in options}
    assert len(digests) == len(options)
    assert recbole_atomic(folder, user_attributes=("age",)).digest in digests
    assert recbole_atomic(folder, name="toy").digest == recbole_atomic(folder).digest


def test_ids_can_be_titles(tmp_path):
    assert recbole_atomic(write(tmp_path), title="item_id").item_titles == ("", "x1", "x9", "y")


def test_numbers_keep_all_their_digits(tmp_path):
    user = "user_id:token\tborn:float\na\t19950101\nb\t19950102\nc\t0.1\n"
    features = recbole_atomic(write(tmp_path, user=user)).user_features
    known, every = features.settled(np.array([1, 2])), features.settled(np.array([1, 2, 3]))
    assert every.values["born"] == ("", "0.1", "19950101", "19950102", OTHER)
    assert [attribute(known, "born", row) for row in range(4)] == ["", "19950101", "19950102", OTHER]


def test_an_archive_and_another_name(tmp_path):
    folder = write(tmp_path)
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        for kind, text in FAKE.items():
            archive.writestr(f"deep/toy.{kind}", text.encode())
    packed = recbole_atomic(str(tmp_path / "all.zip"), name="toy", item_attributes=["class"])
    plain = recbole_atomic(folder, item_attributes=["class"])
    assert (packed.schema, packed.digest) == (plain.schema, plain.digest)
    with pytest.raises(InputError, match=r"holds no all\.inter"):
        recbole_atomic(str(tmp_path / "all.zip"))


def test_many_numbers_become_ranges(tmp_path):
    lines = "".join(f"u{age}\t{age}\n" for age in range(100))
    ratings = recbole_atomic(write(tmp_path, ["inter", "user"], user=f"user_id:token\tage:float\n{lines}"))
    codes = ratings.user_features.settled(np.arange(1, len(ratings.user_ids))).categorical["age"]
    assert sorted(np.bincount(codes)[1:].tolist()) == [10] * 10
    assert (codes == 0).sum() == 3


@pytest.mark.parametrize(
    ("changed", "options", "message"),
    [
        (
            {"inter": "user_id\titem_id:token\n1\t2\n"},
            {},
            r"toy\.inter:1: 'user_id' is no field, such as user_id:token",
        ),
        ({"inter": "user_id:token\tid:token\n1\t2\n"}, {}, r"toy\.inter:1: no field item_id; there are user_id, id"),
        ({"inter": FAKE["inter"] + "b\tz\tnan\t1\n"}, {}, r"toy\.inter:6: rating 'nan' is not a number"),
        (
            {},
            {"scale": (1, 4)},
            r"toy\.inter:3: rating '5' is not from 1 to 4, the scale; give another scale, or correct",
        ),
        ({}, {"scale": (5, 1)}, r"scale \[5, 1\]: is none; give the lowest rating, then the highest"),
        ({}, {"scale": (1, 5), "rating": None}, r"scale \[1, 5\]: without `rating` every pair is a 1 .*; leave it out"),
        (
            {},
            {"rating": "stars"},
            r"toy\.inter:1: no field stars; there are user_id, item_id, rating, timestamp; give .* or null for every",
        ),
        ({}, {"time": "tiem"}, r"toy\.inter:1: no field tiem; .*; give one of them as `time`, or null for no times"),
        (
            {"inter": FAKE["inter"].replace("\t1.5\t", "\t3\t").replace("\t5\t", "\t3\t").replace("\t2\t", "\t3\t")},
            {},
            r"toy\.inter: every rating is 3; give the `scale`, or rating: null for clicks",
        ),
        ({"inter": FAKE["inter"] + "\tz\t2\t1\n"}, {}, r"toy\.inter:6: user_id '' is empty"),
        ({"inter": FAKE["inter"] + "b\t\t2\t1\n"}, {}, r"toy\.inter:6: item_id '' is empty"),
        ({"item": FAKE["item"] + "\tNobody\t\t\n"}, {}, r"toy\.item:4: item_id '' is empty"),
        ({"inter": FAKE["inter"] + "b\tz\t2\tsoon\n"}, {}, r"toy\.inter:6: timestamp 'soon' is not a number"),
        ({"inter": FAKE["inter"] + "b\tz\n"}, {}, r"toy\.inter:6: 2 columns instead of 4 separated by tabs"),
        ({"user": FAKE["user"] + "a\t3\tM\n"}, {}, r"toy\.user:4: user_id 'a' is listed twice"),
        ({"user": FAKE["user"] + "d\told\tM\n"}, {}, r"toy\.user:4: age 'old' is not a number"),
        ({}, {"item_attributes": ["vector"]}, r"toy\.item:1: vector is a float_seq"),
        ({}, {"item_attributes": ["genre"]}, r"toy\.item:1: no field genre; there are item_id, name, class, vector"),
    ],
)
def test_bad_input_is_named(tmp_path, changed, options, message):
    with pytest.raises(InputError, match=message) as error:
        recbole_atomic(write(tmp_path, **changed), **options)
    assert "\n" not in str(error.value)


def test_many_words_become_lists(tmp_path, monkeypatch):
    monkeypatch.setattr(assembly, "CELLS", 8)  # name: 3 words on 4 rows; class: 2 on 4
    features = recbole_atomic(write(tmp_path)).item_features
    assert features.schema == {
        "categorical": {},
        "multi_hot": {"class": 2},
        "lists": {"name": 4},
        "longest": {"name": 2},
    }
    assert features.values["name"] == ("", "Caf\u00e9", "Heat", "Noir")
    assert features.lists["name"].tolist() == [[0, 0], [2, 0], [1, 3], [0, 0]]
    assert features.multi_hot["class"].tolist() == [[0, 0], [0, 0], [1, 1], [0, 0]]


def test_real_movielens_in_atomic_files():
    wheel = cache_folder() / "movielens-100k" / "recbole-1.2.1-py3-none-any.whl"
    if not wheel.is_file():
        pytest.skip("real data: `metarec data movielens-100k` fetches the package that holds it")
    ratings = recbole_atomic(str(wheel), name="ml-100k", scale=(1, 5), title="movie_title")
    summary = describe(ratings)
    counts = [summary[key] for key in ("ratings", "users_rated", "items_listed", "items_rated", "min_ratings_per_user")]
    assert counts == [100_000, 943, 1_682, 1_682, 20]
    assert summary["mean_rating"] == pytest.approx(3.52986)
    assert ratings.schema["user_features"]["categorical"].keys() == {"age", "gender", "occupation", "zip_code"}
    assert len(ratings.item_features.values["class"]) == 19
    assert ratings.item_titles[ratings.item_ids.index("1")] == "Toy Story"
