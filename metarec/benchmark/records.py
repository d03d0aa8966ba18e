"""What a benchmark yields: plain records, one a contender and setting."""

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from metarec.errors import InputError

SPREADS = ("spread", "loop_spread")


@dataclass(frozen=True)
class Record:
    """One measured value.

    Attributes:
        part: the part of the benchmark.
        engine: what was measured: an engine, a library, or what the part names otherwise; in the part `update-rules`
            the engine, a comma and the rule.
        adapts: which parameters adapt; null where that has no meaning.
        order: 2: differentiated through the inner loop, 1: not.
        steps: inner steps.
        batching: how tasks came: `task by task`, `padded`, `buckets`, `length-sorted`.
        threads: threads of torch.
        ratio: median over rounds of cost(`against`) / cost(this) in the same round, so more is faster; null: not
            measured, see `note`. In the parts `growth`, `memory` and `data` it is cost(this) / cost(`against`).
        spread: its quartiles over rounds, (low, high).
        against: what the ratio is to.
        value: median cost, in `unit`.
        unit: such as `ms/task`.
        rounds: number of rounds.
        axis: what grows, in the part `growth`: `tasks`, `items`, `steps` or `support`.
        x: how much of it there is.
        to_loop: the ratio to the engine `loop`.
        loop_spread: its quartiles over rounds.
        to_learn2learn: the ratio to the hand-written loop with learn2learn.
        note: version, compile time, or why there is no value.
        where: data set, device and versions.
    """

    part: str
    engine: str
    adapts: str | None = None
    order: int | None = None
    steps: int | None = None
    batching: str | None = None
    threads: int = 1
    ratio: float | None = None
    spread: tuple[float, float] | None = None
    against: str | None = None
    value: float | None = None
    unit: str | None = None
    rounds: int = 0
    axis: str | None = None
    x: float | None = None
    to_loop: float | None = None
    loop_spread: tuple[float, float] | None = None
    to_learn2learn: float | None = None
    note: str = ""
    where: str = ""


def as_json(records: Sequence[Record]) -> str:
    """A JSON list, one record a line."""
    lines = [json.dumps(dataclasses.asdict(rounded(record)), allow_nan=False) for record in records]
    return "[\n" + ",\n".join(lines) + "\n]"


def read(path: Path) -> list[Record]:
    """Read what `as_json` wrote.

    Raises:
        InputError: the file is missing or holds something else.
    """
    try:
        return [_record(entry) for entry in json.loads(path.read_text(encoding="utf-8"))]
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise InputError(f"{path}: no records of metarec bench ({error}); write some with --save {path}") from error


def _record(entry: dict[str, Any]) -> Record:
    spreads = {name: entry[name] and tuple(entry[name]) for name in SPREADS}
    return Record(**{**entry, **spreads})


def rounded(record: Record) -> Record:
    """The record with figures of five digits: more would be noise."""
    changes: dict[str, Any] = {name: _digits(value) for name, value in vars(record).items() if isinstance(value, float)}
    spreads = {name: getattr(record, name) for name in SPREADS}
    changes |= {name: tuple(map(_digits, spread)) for name, spread in spreads.items() if spread is not None}
    return dataclasses.replace(record, **changes)


def _digits(value: float) -> float:
    return float(f"{value:.5g}")
