"""Tags that users gave to items: an attribute of the items, of which training may see its own users' alone."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Tags:
    """Who gave what tag to what, M times, before it is settled which of it counts; see `Ratings.settled`.

    Attributes:
        user: row of the user, 0: not in the data set, shape (M,).
        item: row of the item, shape (M,).
        time: when, in the unit of the ratings' times, shape (M,); all 0 where nobody says.
        word: place of the tag in `words`, shape (M,).
        words: the tags, ascending.
        most: how many of them are to become values of the attribute.
    """

    user: IntArray
    item: IntArray
    time: IntArray
    word: IntArray
    words: tuple[str, ...]
    most: int

    def of(self, user: IntArray, item: IntArray, items: int, until: int) -> tuple[FloatArray, tuple[str, ...]]:
        """The attribute, from tags that users gave to items that they rated, and from no others.

        Args:
            user: rows of the users of some ratings, (N,).
            item: rows of their items, (N,).
            items: rows of the item table.
            until: tags that were given later do not count.

        Returns:
            A 0/1 matrix of shape (items, values), and the values: the tags given most often, equals by name.
        """
        counted = np.isin(self.user * items + self.item, user * items + item) & (self.time <= until)
        count = np.bincount(self.word[counted], minlength=len(self.words))
        chosen = np.sort(np.argsort(-count, kind="stable")[: min(self.most, int((count > 0).sum()))])
        place = np.full(len(self.words), -1)
        place[chosen] = np.arange(len(chosen))
        kept = counted & (place[self.word] >= 0)
        matrix = np.zeros((items, len(chosen)), dtype=np.float32)
        matrix[self.item[kept], place[self.word[kept]]] = 1.0
        return matrix, tuple(self.words[number] for number in chosen)
