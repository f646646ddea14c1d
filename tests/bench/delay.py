"""What becomes of leads that are too young: left out, counted with what is to be expected, or known after all.

`python -m tests.bench.delay --seeds 5` prints, for each way to label, the mean prediction over the truth (of
converting at all, and of converting within the window) on the history's newest month under rotation, and the share
of the possible gain on leads of the month after, reps' slots 90 % full.
"""

import argparse
from datetime import timedelta

import numpy as np
import pandas as pd
from scipy.stats import norm

from data.dataset import dataset_from_tables
from data.description import Description
from data.simulator import World, simulate
from data.simulator.leads import size_band, standard_size
from data.simulator.outcomes import DELAY_BY_BAND, DELAY_SPREAD
from features.columns import instants
from features.spells import lead_matrix
from pipelines.prepare import prepare
from tests.bench.worlds import Floor, learn, roster_of, worth

MEDIAN_DELAY_DAYS = 25.0
LABELS = {
    "window": {"labels": "window"},
    "expected": {"labels": "expected"},
    "window of 90 days": {"labels": "window", "window": 90.0},
    "expected, of 90 days": {"labels": "expected", "window": 90.0},
    "all outcomes known": {"outcome_is_final": True},
}


def measure(world: World, how: str) -> tuple[float, float, float]:
    """Level of all conversions, level of those within the window, share of the gain."""
    made = _floor(world, how)
    _, model = learn(made)
    roster = roster_of(made, model)
    newest = world.leads[world.leads["created_at"] >= world.exported_at - timedelta(days=30)]
    eligible = world.eligible(newest)
    rotation = eligible / eligible.sum(axis=1, keepdims=True)
    matrix = lead_matrix(newest, made.prepared.contract)
    predicted = np.sum(rotation * roster.probability(matrix, instants(newest["created_at"].dt.tz_localize(None))))
    true = np.sum(rotation * world.probability(newest), axis=1)
    within = true @ _share_within(world, newest, model.window_days)
    share = worth(made, lambda leads: roster.probability(leads.matrix, leads.at_days)).share_capacity
    return float(predicted / true.sum()), float(predicted / within), share


def _floor(world: World, how: str) -> Floor:
    stated = Description.model_validate({**world.description(), **LABELS[how]})
    table = world.assignments
    if how == "all outcomes known":
        won = world.truth.assignments["converted"].to_numpy()
        closed = table["closed_at"].fillna(world.exported_at)
        table = table.assign(outcome=np.where(won, "won", "lost"), closed_at=closed)
    return Floor(world, prepare(dataset_from_tables(world.leads, world.reps, table, stated)))


def _share_within(world: World, leads: pd.DataFrame, window_days: float) -> np.ndarray:
    """The chance that a conversion of each lead comes within the window; 1 where outcomes are final."""
    if not window_days:
        return np.ones(len(leads))
    median = world.delay_days_median * DELAY_BY_BAND[size_band(standard_size(leads["employees"].to_numpy(dtype=float)))]
    return norm.cdf(np.log(window_days / median) / DELAY_SPREAD)


def main(arguments: list[str] | None = None) -> None:
    """Print a table for a long and one for a short history."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--leads", type=int, default=20_000)
    asked = parser.parse_args(arguments)
    for days in (540, 180):
        leads = asked.leads * days // 540
        print(f"\n## Labels, {leads:,} leads in {days} days, 40 seats, median delay {MEDIAN_DELAY_DAYS:.0f} days\n")
        print("| labels | level | within the window | share of the gain | against `window` |\n" + "| --- " * 5 + "|")
        found: dict[str, np.ndarray] = {}
        for how in LABELS:
            rows = []
            for seed in range(asked.seeds):
                world = simulate(leads=leads, reps=40, seed=seed, days=days, delay_days_median=MEDIAN_DELAY_DAYS)
                rows.append(measure(world, how))
            found[how] = np.array(rows)
            gap = found[how][:, 2] - found["window"][:, 2]
            cells = [_figure(column) for column in (*found[how].T, gap)]
            print(f"| {how} | " + " | ".join(cells) + " |", flush=True)


def _figure(values: np.ndarray) -> str:
    error = values.std(ddof=1) / np.sqrt(len(values)) if len(values) > 1 else float("nan")
    return f"{values.mean():.3f} ± {error:.3f}"


if __name__ == "__main__":
    main()
