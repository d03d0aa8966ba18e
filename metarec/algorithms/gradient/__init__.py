"""Adaptation by gradient steps on the support set."""
