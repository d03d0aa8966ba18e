"""Experiments: what a file says, the jobs it stands for, and running them; light, all that runs is imported by name."""

from metarec.experiment.plan import (
    Job,
    check,
    expand,
    folder_of,
    ran_otherwise,
    tuned_layer,
    tuned_layers,
)
from metarec.experiment.schema import Experiment, Method, Scenario, load, only, parts

__all__ = [
    "Experiment",
    "Job",
    "Method",
    "Scenario",
    "check",
    "expand",
    "folder_of",
    "load",
    "only",
    "parts",
    "ran_otherwise",
    "tuned_layer",
    "tuned_layers",
]
