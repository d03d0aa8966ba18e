"""Per-task metrics: functions, torchmetrics classes, and intervals over users.

Nothing is imported here: ``intervals`` needs numpy and scipy only, and who reads run folders should not pay
for torch.
"""


def higher_is_better(metric: str) -> bool:
    """Whether a larger value of a metric, by its name in tables, is the better one."""
    return metric.startswith(("ndcg", "auc"))
