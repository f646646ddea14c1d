"""What our own part of training costs beside LightGBM's, and how it grows: 10,000, 100,000 and 1,000,000 rows.

`python -m tests.bench.training_at_scale --rows 10000 100000 --reps 200` prints, for each number of rows, the thread's
CPU seconds of typing and encoding, of growing trees, of the rep effects and of the rest, peak memory, and the share
of our own part over LightGBM's time. Rows are a simulated floor's, tiled to the number with their times moved on.
"""

import argparse
import resource
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any
from unittest.mock import patch

from data.dataset import Dataset, dataset_from_tables
from data.description import Description
from data.simulator import simulate
from pipelines.prepare import prepare
from training import fit, lead_model, machine
from training.fit import assemble, fit_parts
from training.lead_model import TREES, Recipe

ROUNDS = 150  # trees, as many rows ask for
SIMULATED = 20_000  # rows at most that are simulated; the rest are these again, later


def data_set(rows: int, reps: int) -> Dataset:
    """A checked data set with about so many mature rows."""
    world = simulate(leads=min(rows, SIMULATED), reps=reps, seed=7)
    stated = Description.model_validate(world.description())
    made = dataset_from_tables(world.leads, world.reps, world.assignments, stated)
    times = max(1, round(rows / len(made.assignments)))
    return made if times == 1 else _tiled(made, times)


def _tiled(made: Dataset, times: int) -> Dataset:
    import pandas as pd

    def again(table: "pd.DataFrame", ids: bool) -> "pd.DataFrame":
        parts = []
        for turn in range(times):
            part = table.copy()
            part["lead_id"] = part["lead_id"] + f"/{turn}"
            parts.append(part)
        whole = pd.concat(parts, ignore_index=True)
        return whole if ids else whole.sort_values("at_days", kind="stable", ignore_index=True)

    return replace(made, leads=again(made.leads, ids=True), assignments=again(made.assignments, ids=False))


class Clock:
    """CPU seconds by part; time within a part within another counts for the inner one."""

    def __init__(self) -> None:
        self.spent: dict[str, float] = defaultdict(float)
        self._open: list[str] = []
        self._since = time.process_time()

    @contextmanager
    def of(self, part: str) -> Iterator[None]:
        """Count the block for a part."""
        self._turn()
        self._open.append(part)
        try:
            yield
        finally:
            self._turn()
            self._open.pop()

    def _turn(self) -> None:
        now = time.process_time()
        if self._open:
            self.spent[self._open[-1]] += now - self._since
        self._since = now

    def counted(self, part: str, work: Callable[..., Any]) -> Callable[..., Any]:
        """The work, counted for a part wherever it is called."""

        def run(*arguments: Any, **named: Any) -> Any:
            with self.of(part):
                return work(*arguments, **named)

        return run


def measure(rows: int, reps: int) -> str:
    """A row of the table."""
    import lightgbm as lgb

    dataset, clock = data_set(rows, reps), Clock()
    booster = lgb.Booster
    with (
        patch.object(lgb, "train", clock.counted("lightgbm", lgb.train)),
        patch.object(booster, "predict", clock.counted("lightgbm", booster.predict)),
        patch.object(machine, "tree_data", clock.counted("lightgbm", machine.tree_data)),
        patch.object(lead_model, "tree_data", clock.counted("lightgbm", lead_model.tree_data)),
        patch.object(fit, "fit_rep_effects", clock.counted("effects", fit.fit_rep_effects)),
        clock.of("rest"),
    ):
        with clock.of("prepare"):
            prepared = prepare(dataset)
        parts = fit_parts(prepared.spells, prepared.contract, seed=0, recipe=Recipe("trees", ROUNDS, dict(TREES)))
        assemble(parts, prepared.spells, prepared.contract, verdict="rep_matters", facts={})
    spent = clock.spent
    own = spent["prepare"] + spent["effects"] + spent["rest"]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    cells = [f"{spent[part]:.1f} s" for part in ("lightgbm", "prepare", "effects", "rest")]
    return f"| {len(prepared.spells):,} | " + " | ".join(cells) + f" | {own / spent['lightgbm']:.0%} | {peak:,.0f} MB |"


def main(arguments: list[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, nargs="+", default=[10_000, 100_000])
    parser.add_argument("--reps", type=int, default=200)
    asked = parser.parse_args(arguments)
    print(f"\n## One fit of {ROUNDS} trees (nine times over), {asked.reps} seats, CPU seconds of one thread\n")
    names = ["mature rows", "LightGBM", "typing, encoding", "rep effects", "rest", "own part / LightGBM", "peak memory"]
    print("| " + " | ".join(names) + " |\n" + "| --- " * len(names) + "|")
    for rows in asked.rows:
        print(measure(rows, asked.reps), flush=True)


if __name__ == "__main__":
    main()
