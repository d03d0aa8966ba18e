"""The faults that metarec is held against. Each has tests, marked ``fault("KEY")``, that inject it and look."""

from typing import NamedTuple


class Fault(NamedTuple):
    """One line of the catalogue.

    Attributes:
        section: the part of the program that it strikes.
        done: what is done to the program.
        must: what must happen.
    """

    section: str
    done: str
    must: str


CATALOGUE = {
    "value": Fault("Data", "a rating that is not a number, infinite or off the scale", "exit 2, first rows named"),
    "text": Fault("Data", "an id or a time that is not of its kind", "exit 2, first rows named"),
    "shape": Fault("Data", "a wrong separator, a line cut off", "exit 2, file and line named"),
    "empty": Fault("Data", "an empty file, a header alone", "exit 2, file named"),
    "duplicates": Fault("Data", "the same user and item twice", "the declared policy, the count reported"),
    "short-task": Fault("Data", "a user with too few ratings", "left out and counted"),
    "empty-truth": Fault("Data", "a query set with no relevant item", "no value for that metric, and counted"),
    "unseen": Fault("Data", "an item or attribute value never met in training", "unknown row, counted, scored apart"),
    "times": Fault("Data", "times tied, reversed, negative or in milliseconds", "stable order, a warning"),
    "encoding": Fault("Data", "latin-1, a byte order mark, CRLF", "read right, or the encoding asked for"),
    "degenerate": Fault("Data", "one user, one item, all ratings equal", "runs, or says why not"),
    "permuted": Fault("Data", "rows in another order", "identical metrics"),
    "archive": Fault("Data", "an archive that escapes its folder, links, or is a bomb", "refused, nothing kept"),
    "digest": Fault("Data", "a download that is not what it should be", "refused, nothing kept"),
    "host": Fault("Data", "a host that is down, a certificate that has expired", "next source, then instructions"),
    "two-fetch": Fault("Data", "two processes that fetch at once", "one fetch"),
    "fuzz": Fault("Data", "anything at all as a file", "read, or refused in one line"),
    "killed": Fault("Training", "SIGKILL at any step", "resumed bit for bit: weights, metrics, order"),
    "sigterm": Fault("Training", "SIGTERM", "checkpoint, exit 143"),
    "sigint": Fault("Training", "SIGINT", "clean stop, exit 130"),
    "disk-full": Fault("Training", "a full disk", "old files whole, one line, exit not 0"),
    "read-only": Fault("Training", "output that cannot be written", "one line before training"),
    "not-finite": Fault(
        "Training", "a loss or gradient that is not finite", "stops before the step, keeps no checkpoint"
    ),
    "same-seed": Fault("Training", "the same seed twice, other worker counts", "identical"),
    "ranks": Fault("Training", "several processes in place of one", "same meta-gradient to 1e-6, same metrics"),
    "killed-rank": Fault("Training", "one process of several killed", "all end within a minute, exit not 0"),
    "nodes": Fault("Training", "several machines in place of one", "same weights"),
    "adaptation": Fault("Training", "adaptation, scrambled query labels", "meta-parameters, fast weights unchanged"),
    "task-order": Fault("Training", "tasks in another order, more padding", "no effect"),
    "other-config": Fault("Training", "resuming with another configuration", "the difference shown, refused"),
    "config": Fault("Configuration", "a typo, a wrong type, out of range, at odds", "exit 2, the nearest right name"),
    "class-path": Fault("Configuration", "a class from outside the allowed packages", "refused unless allowed"),
    "yaml-tag": Fault("Configuration", "a Python tag in YAML", "refused"),
    "checkpoint": Fault("Checkpoints", "pickle, hook, cut off, empty, missing, misfit, address", "refused in one line"),
    "weights": Fault("Checkpoints", "a safetensors file that is none of ours", "refused in one line"),
    "wandb": Fault("W&B", "no network, no key, killed, not installed, disabled", "training unaffected, exit 0"),
    "wandb-resume": Fault("W&B", "a run that is resumed", "the same run at W&B"),
    "secret": Fault("Secrets", "a secret in the environment", "in no file, log, artifact or traceback"),
    "doctor": Fault("Doctor", "a part that is missing or broken", "named, with its cure"),
}
"""Faults by key."""
