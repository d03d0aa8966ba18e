"""Small nets of every kind on the synthetic data, all of whose parameters are at random values."""

from collections.abc import Callable
from functools import partial

import numpy as np
import torch

from metarec.data.ratings import Ratings
from metarec.data.tasks import pack
from metarec.nets.base import Net
from metarec.nets.deep_fm import DeepFM
from metarec.nets.fm import FM
from metarec.nets.gmf import GMF
from metarec.nets.melu import MeLUNet
from metarec.nets.mlp import MLP
from metarec.nets.ncf import NeuMF
from metarec.nets.wide_deep import WideDeep


def tiny(kind: type[Net], ratings: Ratings, **options: object) -> Net:
    """A small net of a kind."""
    torch.manual_seed(0)
    arguments: dict = {"user_features": ["group"], "item_features": ["genre"], **options}
    net = kind(ratings.schema, **arguments)
    net.prepare(ratings, pack(ratings, np.arange(len(ratings))))
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return net


KINDS: dict[str, type[Net]] = {
    "neumf": NeuMF, "melu": MeLUNet, "gmf": GMF, "mlp": MLP, "fm": FM, "wide_deep": WideDeep, "deep_fm": DeepFM
}  # fmt: skip
SIZES: dict[str, dict] = {
    "neumf": {"gmf": 4, "mlp": 3, "hidden": [6, 4]},
    "gmf": {"width": 3},
    "fm": {"width": 3},
}
TINY: dict[str, Callable[..., Net]] = {
    name: partial(tiny, kind, **SIZES.get(name, {"width": 3, "hidden": [5, 4]})) for name, kind in KINDS.items()
}
WITH_PRIOR = [make for name, make in TINY.items() if name != "melu"]
"""Those with a user prior, whose place an id of a task can take."""
