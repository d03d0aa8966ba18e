"""Outer steps: the grid of what adapts, order and steps; on two of its cells, other libraries and update rules."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from metarec.algorithms.update_rules import Kronecker, MakeRule, MetaCurvature, MetaSGD
from metarec.benchmark.batching import rounds_of
from metarec.benchmark.bound import bound
from metarec.benchmark.contenders import LEARN2LEARN, LOOP, Contender, by_autograd, check, engine, ours
from metarec.benchmark.peers import higher_loop, installed, learn2learn_loop, torchopt_loop
from metarec.benchmark.peers_at_once import jax_threads, jax_vmap, parallel_metalearn
from metarec.benchmark.records import Record
from metarec.benchmark.setting import Cell, Setting
from metarec.benchmark.timing import interleaved, middle, ratio
from metarec.data.tasks import TaskBatch

Make = Callable[[Setting, Cell], Contender]
PEERS: Mapping[str, tuple[str, str, Make]] = {
    "higher": ("higher", "task by task", higher_loop),
    "TorchOpt": ("torchopt", "task by task", torchopt_loop),
    "parallel-metalearn": ("metalearn", "padded", parallel_metalearn),
    "JAX": ("jax", "buckets", jax_vmap),
}
"""Other libraries: the module that must be installed, the batching, and what makes the contender."""

RULES: Mapping[str, MakeRule] = {"Meta-SGD": MetaSGD, "Kronecker": Kronecker, "Meta-Curvature": MetaCurvature}
"""Update rules that learn, by their name in the tables."""

TWO_CELLS = (Cell("decision", 2, 1), Cell("decision", 2, 5))
"""Where the dense layers adapt, second order."""

Rounds = list[dict[str, list[TaskBatch]]]


def grid(setting: Setting) -> list[Record]:
    """Every cell of the grid: our engines and learn2learn's loop."""
    rounds = rounds_of(setting.pool(), setting.size, setting.rounds, setting.device)
    found: list[Record] = []
    for cell in setting.cells:
        contenders = [*ours(setting, cell), learn2learn_loop(setting, cell)]
        found += compared("grid", setting, cell, rounds, contenders)
    return found


def peers(setting: Setting) -> list[Record]:
    """Other libraries where the dense layers adapt, second order, and the arithmetic bound."""
    rounds = rounds_of(setting.pool(), setting.size, setting.rounds, setting.device)
    found: list[Record] = []
    for cell in TWO_CELLS[: 1 if setting.quick else 2]:
        there, missing = _libraries(setting, cell)
        own = [engine(setting, cell, "loop", "task by task"), learn2learn_loop(setting, cell)]
        own += [engine(setting, cell, "batched", "buckets"), engine(setting, cell, "fused", "buckets")]
        own += [engine(setting, cell, "fused", "length-sorted"), bound(setting, cell, [of["padded"] for of in rounds])]
        found += [*compared("peers", setting, cell, rounds, [*own, *there]), *missing]
    return found


def update_rules(setting: Setting) -> list[Record]:
    """Learned update rules where the dense layers adapt, second order: all tasks at once against task by task.

    Gradients of what a rule learns are checked beside those of the net. The fused engine is no contender, as it takes
    the plain gradient step only.
    """
    rounds = rounds_of(setting.pool(), setting.size, setting.rounds, setting.device)
    found: list[Record] = []
    for cell in TWO_CELLS[: 1 if setting.quick else 2]:
        for name in RULES:
            records = compared("update-rules", setting, cell, rounds, with_rule(setting, cell, name))
            found += [replace(record, engine=f"{record.engine}, {name}") for record in records]
    return found


def with_rule(setting: Setting, cell: Cell, rule: str) -> list[Contender]:
    """Our engines that take a learned update rule, one of `RULES`; the loop is the oracle."""
    loop = setting.algorithm("loop", cell, rule=RULES[rule])
    batched = setting.algorithm("batched", cell, rule=RULES[rule])
    return [
        by_autograd(LOOP, "task by task", loop, loop.loss),
        by_autograd("batched", "buckets", batched, batched.loss),
    ]


def _libraries(setting: Setting, cell: Cell) -> tuple[list[Contender], list[Record]]:
    """The other libraries that are installed, and records that say which are not."""
    there, missing = [], []
    for name, (module, batching, make) in PEERS.items():
        note = "" if installed(module) else "not installed; pip install 'metarec[peers]'"
        if name == "JAX" and jax_threads() not in (None, setting.threads):
            note = f"its threads are fixed when it starts; give --threads {setting.threads} alone"
        if note:
            missing.append(Record("peers", name, *cell, batching, setting.threads, note=note, where=setting.where))
        else:
            there.append(make(setting, cell))
    return there, missing


def compared(part: str, setting: Setting, cell: Cell, rounds: Rounds, contenders: Sequence[Contender]) -> list[Record]:
    """Check that the contenders compute the same, then time them in turn.

    Args:
        part: the part of the benchmark.
        setting: the benchmark's.
        cell: what all of them compute.
        rounds: batches of each round, by kind of batching.
        contenders: the first is the oracle.

    Raises:
        InputError: a contender computes something else.
    """
    check(contenders, rounds[0]["buckets"][0])
    contenders = [_compiled(contender, rounds) for contender in contenders]

    def run(contender: Contender) -> Callable[[int], object]:
        return lambda number: [contender.step(batch) for batch in rounds[number][contender.batches]]

    runs = {number: run(contender) for number, contender in enumerate(contenders)}
    seconds = interleaved(runs, len(rounds), setting.device, setting.least)
    tasks = sum(len(batch.task) for batch in rounds[0]["padded"])
    costs = {number: _costs(seconds[number], c.shares, tasks) for number, c in enumerate(contenders)}
    base = {c.engine: costs[n] for n, c in enumerate(contenders) if c.engine in (LOOP, LEARN2LEARN)}
    common = Record(part, "", *cell, threads=setting.threads, where=setting.where)
    return [
        judged(replace(common, engine=c.engine, batching=c.batching, note=c.note), costs[n], base)
        for n, c in enumerate(contenders)
    ]


def _costs(seconds: Sequence[float], shares: Sequence[float], tasks: int) -> list[float]:
    """Seconds a task in each round."""
    return [share * s / tasks for s, share in zip(seconds, shares or [1.0] * len(seconds), strict=True)]


def judged(record: Record, costs: Sequence[float], base: Mapping[str, Sequence[float]]) -> Record:
    """A record with its ratios to the baselines, the headline one to the faster of them.

    Args:
        record: what was measured.
        costs: its cost in seconds a task, each round.
        base: costs of the baselines by name, in the same rounds.
    """
    against = min(base, key=lambda name: middle(base[name]))
    found = {name: ratio(cost, costs) for name, cost in base.items()}
    return replace(
        record,
        ratio=found[against].median,
        spread=(found[against].low, found[against].high),
        against=against,
        value=1e3 * middle(costs),
        unit="ms/task",
        rounds=len(costs),
        to_loop=found[LOOP].median if LOOP in found else None,
        loop_spread=(found[LOOP].low, found[LOOP].high) if LOOP in found else None,
        to_learn2learn=found[LEARN2LEARN].median if LEARN2LEARN in found else None,
    )


def _compiled(contender: Contender, rounds: Rounds) -> Contender:
    """Compile for all batches before any clock runs, and note how long that took."""
    if contender.compile is None:
        return contender
    started = time.perf_counter()
    contender.compile([batch for batches in rounds for batch in batches[contender.batches]])
    return contender._replace(note=f"{contender.note}, compiled in {time.perf_counter() - started:.0f} s")
