"""Adaptation in closed form."""
