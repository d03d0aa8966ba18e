"""Test episodes for k-shot curves: the same users and the same query rows, whatever the number k of support ratings."""

import itertools
from collections.abc import Sequence

import torch

from metarec.data.episodes import EvalEpisodes
from metarec.data.negatives import Negatives
from metarec.data.tasks import EpisodeSizes, PackedTasks, Rows
from metarec.errors import InputError, at_least


def shot_sizes(shots: Sequence[int], query: int | None) -> EpisodeSizes:
    """Sizes of the episodes that all shots are cut from: the largest of them as support.

    Args:
        shots: the numbers of support ratings, ascending, from 0 on.
        query: query size; null: all ratings that the largest support leaves.

    Raises:
        InputError: there are fewer than two shots, they do not ascend, or a number is too small.
    """
    rising = all(low < high for low, high in itertools.pairwise(shots))
    if len(shots) < 2 or not rising or shots[0] < 0:
        raise InputError(f"shots {list(shots)}: give two or more whole numbers >= 0 in ascending order, such as 0 1 5")
    at_least(1, query=query)
    return EpisodeSizes(shots[-1], shots[-1], query)


def nested(support: Rows, shots: int, rows: int = 1) -> Rows:
    """The first `shots` ratings of each support set: what k - 1 shots adapt on, k shots do too.

    Args:
        support: T support sets that all have as many ratings or more, so that none of the chosen ones is padding.
        shots: k >= 0.
        rows: rows that a rating takes: 1 and its negatives.
    """
    return Rows(*(column[:, : shots * rows] for column in support))


class ShotEpisodes(EvalEpisodes):
    """Test batches with the largest support set, of the tasks that have enough ratings for it and a query set.

    A shuffled task begins with its query set, which all the other ratings follow as candidates for the support; in
    time order its earliest ratings are the candidates, and the query set follows the last of them. Either way the first
    k candidates are the support set of k shots, see `nested`, and the query set does not depend on k. Of known users,
    whose query is held out, the known ratings are the candidates.

    Args:
        tasks: the packed test tasks, their order already final.
        sizes: what `shot_sizes` returned.
        batch_size: tasks a batch.
        shuffle: whether the packed order is a shuffled one.
        rank: which share of the users to take.
        ranks: how many shares there are.
        negatives: draws negatives beside the ratings; null: none. Those of the first k ratings do not depend on others.
        seed: of the negatives.

    Attributes:
        needed: fewest ratings of that kind that a task must have.
        kind: "ratings", or of known users "known ratings".
        users: how many users have as many, in all shares.
        left_out: how many have fewer.

    Raises:
        InputError: no user has enough ratings.
    """

    def __init__(
        self,
        tasks: PackedTasks,
        sizes: EpisodeSizes,
        batch_size: int,
        shuffle: bool,
        rank: int = 0,
        ranks: int = 1,
        negatives: Negatives | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__(tasks, sizes, batch_size, shuffle, rank, ranks, negatives, seed)
        self.needed, self.kind, counted = (sizes.high or 0) + (sizes.query or 1), "ratings", tasks.lengths
        use = f"{sizes.high} shots and their query set need; give fewer shots or a smaller query set"
        if tasks.query is not None:  # a rating is a candidate or can be asked for, never either
            self.needed, self.kind, counted = sizes.high or 0, "known ratings", tasks.lengths - tasks.query
            use = f"{sizes.high} shots need; give fewer shots"
        enough = counted >= self.needed
        self.users = int(enough.sum()) // self.draws
        self.left_out = len(enough) // self.draws - self.users
        if not self.users:
            raise InputError(
                f"k-shot curves: none of {self.left_out} test users has the {self.needed} {self.kind} that {use}"
            )
        own = torch.cat(self.batches)
        own = own[enough[own]]
        self.batches = torch.split(own, batch_size) if len(own) else ()
