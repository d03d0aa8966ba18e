"""Nets: from task parameters, users and items to scores."""
