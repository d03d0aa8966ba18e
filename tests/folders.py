"""Run folders as runs leave them, with made-up values, for tests of tables."""

import json
from pathlib import Path

import numpy as np
import pandas as pd

from metarec.experiment import Experiment, Method

EXPERIMENT = Experiment(
    shows="A small table.",
    layers=[],
    reference="bias",
    metrics=["mae", "ndcg_exp@5"],
    methods={
        "maml": Method(),
        "bias": Method(layers=["configs/baseline/item_user_bias.yaml"]),
        "tuned": Method(weights_from="maml"),
        "absent": Method(),
    },
    seeds=[0, 1],
)
USERS = 50


def write_runs(results: Path) -> Path:
    """Runs of three methods with two seeds on 50 users; one user has no nDCG with the adapted model."""
    random = np.random.default_rng(0)
    hard = random.normal(0.8, 0.1, USERS)
    for method, shift in (("bias", 0.0), ("maml", -0.05), ("tuned", 0.02)):
        for seed in (0, 1):
            table = pd.DataFrame({"user": [f"u{number}" for number in range(USERS)], "seconds": 0.001})
            table = table.assign(support_size=5, query_size=9)
            for metric in EXPERIMENT.metrics:
                table[f"adapted/{metric}"] = hard + shift + random.normal(0, 0.01, USERS)
                table[f"zero_shot/{metric}"] = hard + 0.1
            table.loc[3, "adapted/ndcg_exp@5"] = np.nan
            write_run(results / method / f"seed-{seed}", table, method, seed)
    return results


def write_run(folder: Path, table: pd.DataFrame, method: str, seed: int) -> None:
    """The files of one run."""
    folder.mkdir(parents=True)
    table.to_parquet(folder / "per_task.parquet")
    summary = {
        "commit": "c" * 40,
        "fit_seconds": 0.0 if method == "bias" else 10.0 + seed,
        "select_seconds": 2.0 if method == "tuned" else 0.0,
        "data": {"name": "made-up", "digest": "d" * 64},
        "split": {"digest": "s" * 64},
        "episodes": {"digest": "e" * 64},
    }
    (folder / "metrics.json").write_text(json.dumps(summary))


def column(results: Path, method: str, name: str) -> np.ndarray:
    """A column of a method's runs, (2 seeds, users)."""
    return np.stack([pd.read_parquet(results / method / f"seed-{s}" / "per_task.parquet")[name] for s in (0, 1)])
