"""How an algorithm's users are adapted and scored: without autograd where that is derived, else as it does itself."""

from typing import Any, Protocol

from torch import Tensor

from metarec.algorithms.base import Algorithm, Fast
from metarec.algorithms.engines.base import score
from metarec.algorithms.engines.fused import plan as dense_plan
from metarec.algorithms.gradient.maml import MAML
from metarec.algorithms.inner_loop import InnerLoop
from metarec.algorithms.plain.pretrain import Pretrain
from metarec.data.tasks import Rows
from metarec.nets.base import Net
from metarec.recommend.dense import DenseUsers
from metarec.recommend.items import ItemIndex


class Users(Protocol):
    """Adapts T users and scores items for them; what `adapt` returns is for the other two alone."""

    def adapt(self, task: Tensor, support: Rows, rows: int | None = None) -> Any:
        """Adapt the users `task` (T,) to their support ratings (T, S), to score `rows` items each; null: catalogue."""

    def score(self, adapted: Any, task: Tensor, item: Tensor) -> Tensor:
        """Scores (T, Q) of the items `item` (T, Q)."""

    def block(self, adapted: Any, task: Tensor, start: int, stop: int) -> Tensor:
        """Scores (T, stop - start) of the catalogue's ``start .. stop``."""


class AnyUsers:
    """Users of any algorithm, by its own `adapt` and `predict`; items are not encoded again where that is safe.

    Args:
        algorithm: the algorithm.
        index: the item side of its net; null where no `block` is asked for.
        encoded: whether `predict` is the net's score, with an encoder that does not adapt.
    """

    def __init__(self, algorithm: Algorithm, index: ItemIndex | None, encoded: bool) -> None:
        self.algorithm, self.index, self.encoded = algorithm, index, encoded

    def adapt(self, task: Tensor, support: Rows, rows: int | None = None) -> Fast:
        """See `Users.adapt`."""
        return self.algorithm.adapt(task, support)

    def score(self, adapted: Fast, task: Tensor, item: Tensor) -> Tensor:
        """See `Users.score`."""
        return self.algorithm.predict(adapted, task, item)

    def block(self, adapted: Fast, task: Tensor, start: int, stop: int) -> Tensor:
        """See `Users.block`."""
        assert self.index is not None
        item = self.index.catalogue[start:stop].to(task.device).expand(len(task), -1)
        if not self.encoded:
            return self.algorithm.predict(adapted, task, item)
        net = self.index.net
        user = net.encode_user(task)
        return score(net, adapted, task, item, self.index.block(user, start, stop))


def users(algorithm: Algorithm, index: ItemIndex | None) -> tuple[Users, str]:
    """A fast way that gives the algorithm's own scores, and why it is not the hand-derived one; else empty.

    Args:
        algorithm: the algorithm.
        index: the item side of its net; null: made if it is of use, and then `block` may not be asked for otherwise.
    """
    found = _gradient_descent(algorithm)
    if found is None:
        return AnyUsers(algorithm, index, False), f"{type(algorithm).__name__} has its own way to adapt or predict"
    net, how = found
    plan = dense_plan(net, how, net.training)
    if isinstance(plan, str):
        return AnyUsers(algorithm, index, not how.adapts_encoder), plan
    if plan.embeddings:
        return AnyUsers(algorithm, index, False), "the embeddings adapt"
    index = index or ItemIndex(net, gram_bytes=0)
    if index.every.projected is None:
        return AnyUsers(algorithm, index, True), index.reason
    return DenseUsers(index, how, plan), ""


def unadapted(algorithm: Algorithm, index: ItemIndex) -> AnyUsers:
    """Users as the model sees them without a support set: what they have adapted are no weights at all."""
    return AnyUsers(algorithm, index, encoded=_gradient_descent(algorithm) is not None)


def _gradient_descent(algorithm: Algorithm) -> tuple[Net, InnerLoop] | None:
    """Net and inner loop, if that is all there is to the algorithm's `adapt`, and its `predict` is the net's score."""
    kind = type(algorithm)
    for plain in (MAML, Pretrain):
        if isinstance(algorithm, plain) and kind.adapt is plain.adapt and kind.predict is plain.predict:
            return algorithm.net, algorithm.inner_loop
    return None
