"""Several processes that train together: how one notices that another is gone."""

import re

from torch import distributed

GONE = re.compile(
    r"Connection (closed|reset) by peer|Broken pipe|Connection refused|remote process exited|timed out", re.I
)
"""What gloo and NCCL say of a process that no longer answers."""


def lost_process(error: BaseException) -> bool:
    """Whether an error says that another process of the group has gone.

    Args:
        error: what a step of several processes raised.
    """
    kind = isinstance(error, distributed.DistBackendError | distributed.DistNetworkError)
    return distributed.is_initialized() and (kind or GONE.search(str(error)) is not None)
