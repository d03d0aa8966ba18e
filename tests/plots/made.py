"""Run folders of a small experiment, written by hand: three methods of which two adapt, chance, and one unfinished."""

import json
from pathlib import Path

import numpy as np
import pandas as pd

from metarec import learning
from metarec.experiment import Experiment, Method

USERS, SEEDS, SHOTS = 40, (0, 1), (0, 1, 3)
METRICS = ("mae", "ndcg_exp@5")
LEVELS = {"bias": (0.75, 0.80), "item-mean": (0.80, 0.80), "maml": (0.70, 0.95), "chance": (1.60, 1.60)}
"""By method, its mean error adapted and zero-shot."""

EXPERIMENT = Experiment(
    shows="A small <table>.",
    layers=["configs/base.yaml"],
    reference="bias",
    metrics=list(METRICS),
    methods={**{name: Method(train=name == "maml") for name in LEVELS}, "absent": Method()},
    seeds=list(SEEDS),
)
YAML = """
shows: A small <table>.
layers: [configs/base.yaml]
reference: bias
metrics: [mae, ndcg_exp@5]
seeds: [0, 1]
methods: {bias: {train: false}, item-mean: {train: false}, maml: {}, chance: {train: false}, absent: {}}
"""


def write_runs(results: Path) -> Path:
    """Write the run folders of all methods but `absent`; two draws a user; u3 has no nDCG."""
    random = np.random.default_rng(0)
    hard = random.normal(0, 0.1, 2 * USERS)
    for method, (adapted, zero) in LEVELS.items():
        for seed in SEEDS:
            folder = results / method / f"seed-{seed}"
            folder.mkdir(parents=True)
            _per_task(random, hard, adapted, zero).to_parquet(folder / "per_task.parquet")
            (folder / "metrics.json").write_text(json.dumps(_summary(method, seed)))
            (folder / "config.yaml").write_text(f"seed_everything: {seed}\nmodel: <{method}>\n")
            (folder / "job.json").write_text(json.dumps({"digest": "x", "command": f"metarec fit --x={method}-{seed}"}))
            if method in ("bias", "maml"):
                _write_shots(folder, random, adapted, zero)
    for seed in SEEDS:
        learning.write(results / "maml" / f"seed-{seed}" / learning.LEARNING, curve(seed))
    return results


def curve(seed: int) -> list[dict[str, float]]:
    """The learning curve of `maml`: best at epoch 3, or 4 with seed 1."""
    values = [0.9, 0.8, 0.70, 0.75, 0.76] if seed == 0 else [0.95, 0.85, 0.80, 0.72, 0.74]
    return [
        {
            "epoch": number + 1,
            "step": 10 * (number + 1),
            "val/zero_shot/mae": value + 0.1,
            "val/adapted/mae": value,
            "val/zero_shot/ndcg_exp@5": 0.5,
            "val/adapted/ndcg_exp@5": 1 - value,
        }
        for number, value in enumerate(values)
    ]


def _per_task(random: np.random.Generator, hard: np.ndarray, adapted: float, zero: float) -> pd.DataFrame:
    names = np.repeat([f"u{number}" for number in range(USERS)], 2)
    table = pd.DataFrame({"user": names, "draw": np.tile([0, 1], USERS), "support_size": 5})
    table["query_size"] = np.repeat(np.arange(USERS), 2) + 10
    table["zero_shot/mae"] = zero + hard
    table["adapted/mae"] = adapted + hard + (random.normal(0, 0.02, len(table)) if adapted != zero else 0)
    for mode in ("zero_shot", "adapted"):
        table[f"{mode}/ndcg_exp@5"] = (1 - table[f"{mode}/mae"] / 2).mask(table["user"] == "u3")
    return table.assign(seconds=0.001 * adapted * random.uniform(0.9, 1.1, len(table)))


def _summary(method: str, seed: int) -> dict[str, object]:
    return {
        "metarec": "0.1.0",
        "torch": "2.13.0",
        "data": {"name": "made & up", "source": "by hand", "digest": "d" * 64},
        "split": {"digest": "s" * 64},
        "episodes": {"digest": "e" * 64},
        "users": USERS,
        "parameters": 1234 if method == "maml" else 0,
        "epochs": 5 if method == "maml" else 0,
        "fit_seconds": 20.0 + 4 * seed if method == "maml" else 0.0,
        "select_seconds": 0.0,
        "test_seconds": 0.5,
        "peak_memory_mb": 300 + 100 * seed,
    }


def _write_shots(folder: Path, random: np.random.Generator, adapted: float, zero: float) -> None:
    index = pd.MultiIndex.from_product([[f"u{n}" for n in range(USERS)], SHOTS, [0]], names=["user", "k", "draw"])
    table = pd.DataFrame(index=index).reset_index()[["user", "draw", "k"]]
    level = table["k"].map({0: zero, 1: (zero + adapted) / 2, 3: adapted})
    for metric in METRICS:
        table[metric] = level + random.normal(0, 0.05, len(table))
    table.to_parquet(folder / "k_shot.parquet")
    better = {"mae": {"higher_is_better": False}, "ndcg_exp@5": {"higher_is_better": True}}
    shared = {"data": {"digest": "d"}, "split": {}, "episodes": {}, "shots": SHOTS, "users": USERS, "left_out": {}}
    (folder / "k_shot.json").write_text(json.dumps(shared | {"metrics": better}))
