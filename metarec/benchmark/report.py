"""Records as Markdown tables, one a part, under the figures that `figures.py` draws."""

from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from metarec.benchmark.records import Record

Row = tuple[str, ...]
Key = TypeVar("Key")
FUSED = "fused"
HOW = (
    "Ratios are to learn2learn's loop over tasks in the same run: ours (`loop`) or one written by hand "
    "(`learn2learn`), whichever is faster. Each is the median over rounds of wall-clock ratios within a round, in "
    "brackets the quartiles. In each round all contenders work on the same tasks, in shuffled order, with two "
    "exceptions: under a Trainer, length-sorted batches are filled with other tasks; and where many new users are "
    "predicted, the loops work on the first of them only, as many as the note says, and ratios are of the time a user. "
    "Before the outer steps, loss and meta-gradient of each contender are checked against the loop's on a batch, to "
    '1e-5; before the predictions, the scores. Under "to `loop`" stands the ratio to ours alone, which works with any '
    "net."
)


def as_markdown(records: Sequence[Record], figures: str | None = None) -> str:
    """All parts as tables, and links to their figures.

    Args:
        records: what was measured.
        figures: folder of the figures as the reader of the text finds it; null: no links.
    """
    where = "; ".join(sorted({record.where for record in records}))
    texts = [f"{where}. {max(record.rounds for record in records)} rounds. {HOW}"]
    for part, (title, table) in TABLES.items():
        chosen = [record for record in records if record.part == part]
        if not chosen:
            continue
        link = [f"![{title}]({figures}/{part}.png)"] if figures else []
        texts += [f"**{title}**", *link, table(chosen)]
    return "\n\n".join(texts)


def times(record: Record | None) -> str:
    """A ratio with its quartiles, such as ``7.8x [7.1, 8.2]``; a dash where there is none."""
    return "-" if record is None else _with_spread(record.ratio, record.spread)


def to_loop(record: Record | None) -> str:
    """The ratio to the engine `loop`, with its quartiles."""
    return "-" if record is None else _with_spread(record.to_loop, record.loop_spread)


def _with_spread(ratio: float | None, spread: tuple[float, float] | None) -> str:
    if ratio is None or spread is None:
        return "-"
    digits = 1 if ratio < 100 else 0
    return f"{ratio:.{digits}f}x [{spread[0]:.{digits}f}, {spread[1]:.{digits}f}]"


def cost(record: Record | None) -> str:
    """A value with three digits, without unit."""
    return "-" if record is None or record.value is None else figure(record.value)


def figure(value: float) -> str:
    """Three digits, without an exponent."""
    return f"{value:.0f}" if value >= 100 else f"{value:#.3g}".rstrip(".")


def _table(head: Sequence[str], rows: Iterable[Row], texts: int) -> str:
    """A Markdown table; the first `texts` columns hold text, the others numbers."""
    kinds = ["---" if number < texts or name == "note" else "---:" for number, name in enumerate(head)]
    lines = [head, kinds, *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _distinct(values: Iterable[Key]) -> list[Key]:
    """The values, each once, in order."""
    return list(dict.fromkeys(values))


def _way(record: Record) -> tuple[str, str]:
    return record.engine, record.batching or "-"


def _cell(record: Record) -> tuple[int, str | None, int | None, int | None]:
    return record.threads, record.adapts, record.order, record.steps


def _grid(records: Sequence[Record]) -> str:
    """A row for each cell, a column for each contender, and what the hand-derived engine is to `loop`."""
    ways, rows = _distinct(map(_way, records)), []
    for cell in _distinct(map(_cell, records)):
        some = {_way(record): record for record in records if _cell(record) == cell}
        base = next(record for record in some.values() if record.engine == record.against)
        own = [to_loop(some.get(way)) for way in ways if way[0] == FUSED]
        rows.append((*map(str, cell), f"{cost(base)} ({base.engine})", *(times(some.get(way)) for way in ways), *own))
    columns = [f"{engine}, {batching}" for engine, batching in ways]
    columns += [f"{engine}, {batching}, to `loop`" for engine, batching in ways if engine == FUSED]
    return _table(["threads", "adapts", "order", "steps", "faster loop, ms/task", *columns], rows, 4)


def _peers(records: Sequence[Record]) -> str:
    """A row for each library, a column for each number of threads and steps."""
    columns, rows = _distinct((record.threads, record.steps) for record in records), []
    for way in _distinct(map(_way, records)):
        some = {(record.threads, record.steps): record for record in records if _way(record) == way}
        notes = "; ".join(_distinct(record.note for record in some.values() if record.note))
        rows.append((*way, *(times(some.get(column)) for column in columns), notes))
    head = ["", "batching", *(f"{steps} step(s), {threads} thread(s)" for threads, steps in columns), "note"]
    return _table(head, rows, 2)


def _plain(records: Sequence[Record]) -> str:
    """A row for each record."""
    rows = [
        (str(r.threads), r.engine, str(r.steps), r.batching or "-", times(r), to_loop(r), f"{cost(r)} {r.unit}", r.note)
        for r in records
    ]
    return _table(["threads", "", "steps", "what", "ratio", "to `loop`", "cost", "note"], rows, 4)


def _growth(records: Sequence[Record]) -> str:
    """A row for each axis and contender: ms a task at each point."""
    keys = _distinct((r.threads, r.axis, r.engine) for r in records)
    rows = []
    for key in keys:
        points = [r for r in records if (r.threads, r.axis, r.engine) == key]
        reached = ", ".join(f"{cost(r)} at {r.x or 0:,.0f}" for r in points)
        rows.append((str(key[0]), str(key[1]), key[2], reached, f"{points[-1].ratio or 0:.1f}x"))
    return _table(["threads", "grows", "", "ms/task", "last / first"], rows, 4)


def _memory(records: Sequence[Record]) -> str:
    """A row for each cell, a column for each engine."""
    first = [record for record in records if record.threads == records[0].threads]
    engines = _distinct(record.engine for record in first)
    cells = _distinct((record.adapts, record.steps) for record in first)
    found = {(record.adapts, record.steps, record.engine): record for record in first}
    rows = [
        (str(adapts), str(steps), *(cost(found.get((adapts, steps, engine))) for engine in engines))
        for adapts, steps in cells
    ]
    return _table(["adapts", "steps", *(f"{engine}, MB" for engine in engines)], rows, 2)


def _data(records: Sequence[Record]) -> str:
    """A row for each engine and batching."""
    rows = [
        (str(r.threads), r.engine, r.batching or "-", f"{cost(r)} {r.unit}", f"{100 * (r.ratio or 0):.1f} %")
        for r in records
    ]
    return _table(["threads", "engine", "batching", "assembly", "share of a step"], rows, 3)


def _ranking(records: Sequence[Record]) -> str:
    """A row for each metric."""
    rows = [(str(r.threads), r.engine, times(r), f"{cost(r)} {r.unit}", r.note) for r in records]
    return _table(["threads", "metric", "times as fast as torchmetrics", "cost", "note"], rows, 2)


def _catalogue(records: Sequence[Record]) -> str:
    """A row for each number of users."""
    rows = [
        (str(r.threads), r.engine, f"{r.x or 0:,.0f}", f"{cost(r)} {r.unit}", f"{r.ratio or 0:.2f}x", r.note)
        for r in records
    ]
    return _table(["threads", "", "items", "cost", f"peak memory to that of {records[0].against}", "note"], rows, 2)


TABLES: dict[str, tuple[str, Callable[[Sequence[Record]], str]]] = {
    "grid": ("Outer steps: 32 tasks a batch (8 in a smoke run), support log-uniform 5 to 90, query 10", _grid),
    "peers": ("Other libraries: dense layers adapt, second order", _peers),
    "update-rules": ("Learned update rules: dense layers adapt, second order", _plain),
    "end-to-end": (
        "Training by a Lightning Trainer with log, bar and Adam(fused=True), support evenly 5 to 90; to `loop` there",
        _plain,
    ),
    "inference": ("Prediction for new users with ten ratings each", _plain),
    "growth": ("Growth where everything adapts, second order", _growth),
    "data": ("Assembly of batches, as a share of assembly, outer step and the step of Adam(fused=True)", _data),
    "memory": ("Peak memory of an outer step: 32 tasks (8 in a smoke run), second order", _memory),
    "ranking": (
        "Metrics of users with ten query items each, at K = 9: torchmetrics' retrieval classes, and ours",
        _ranking,
    ),
    "catalogue": (
        "Ranking over a full catalogue of synthetic items, zero-shot and adapted: 12 metrics, coverage, novelty",
        _catalogue,
    ),
}
