"""Algorithms: how a net adapts to a task's support set, and what its outer loss is."""
