"""Per-task metrics: functions, torchmetrics classes, and intervals over users.

Nothing is imported here: ``intervals`` needs numpy and scipy only, and who reads run folders should not pay
for torch.
"""
