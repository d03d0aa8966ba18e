"""Per-task metrics: functions, torchmetrics classes, and intervals over users.

Nothing is imported here: ``intervals`` needs numpy and scipy only, and who reads run folders should not pay
for torch.
"""

HIGHER = ("ndcg", "auc", "precision", "recall", "hit", "mrr", "map", "coverage", "novelty")
"""What the names of metrics begin with, of which more is better, behind a leading ``full_``; the others are errors."""


def higher_is_better(metric: str) -> bool:
    """Whether a larger value of a metric, by its name in tables, is the better one.

    Example:
        >>> higher_is_better("full_ndcg@10"), higher_is_better("mae")
        (True, False)
    """
    return metric.removeprefix("full_").startswith(HIGHER)
