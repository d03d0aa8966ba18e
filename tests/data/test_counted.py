import numpy as np
import pytest

from metarec.audit import audit_split
from metarec.data.counted import ItemsByCount
from metarec.data.ratings import Ratings
from metarec.errors import InputError


def test_known_and_new_items_by_their_number_of_ratings(ratings: Ratings) -> None:
    count = np.bincount(ratings.item)
    edge = int(np.median(count[1:]))
    split = ItemsByCount(edge + 1, (edge - 4, edge - 1), 0.25, min_ratings=1)(ratings, "items")
    audit_split(ratings, split)
    known, new = set(ratings.item[split.train].tolist()), set(ratings.item[split.test].tolist())
    held = set(ratings.item[split.val].tolist())
    few = {item for item in range(1, 31) if edge - 4 <= count[item] <= edge - 1}
    assert known == {item for item in range(1, 31) if count[item] > edge + 1}
    assert new | held == few
    assert len(held) == round(len(few) * 0.25) > 0
    assert (
        split.left_out["ratings of no stage"] == len(ratings) - len(split.train) - len(split.val) - len(split.test) > 0
    )


@pytest.mark.parametrize(("above", "between"), [(10, (3, 11)), (10, (0, 5)), (10, (6, 5)), (10, (6,))])
def test_wrong_counts(above: int, between: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match="give 1 <= fewest <= most <= known_above"):
        ItemsByCount(above, between)
