"""What exploration costs where the model goes on learning: months of leads, each decided by the model of those before.

`python -m tests.bench.exploring --seeds 20` prints, for each preset, the part of greedy's gain over rotation that it
loses in the first months. One floor is lived through once for each preset; in each month a thousand leads come one
after another, slots 90 % full, prices as in the service, and then their outcomes join the history that the next
month's model learns from, reps chosen by chance among them. `tests.bench.matching` prices the same presets on one day
without what they teach.
"""

import argparse
from dataclasses import dataclass
from datetime import timedelta

import numpy as np
import pandas as pd

from data.dataset import dataset_from_tables
from data.description import Description
from data.simulator import World, simulate
from data.simulator.gain import rotation_value
from data.simulator.world import HIDDEN_GRADE
from features.columns import instants
from features.spells import lead_matrix
from pipelines.prepare import prepare
from serving.policy.exploration import EARN, LEARN, Exploration
from tests.bench.matching import PLAIN, Day, online, shown, slots_of, value
from tests.bench.worlds import Floor, learn, roster_of
from training.conversion import ConversionModel
from training.lead_model import Recipe

HISTORY, REPS, LEADS, MONTHS = 8_000, 40, 1_000, 3
MONTH = timedelta(days=30)
MATURED = timedelta(days=365)  # after the last month: every outcome is known when the next model learns
UTILISATION = 0.9
RULES: dict[str, Exploration | None] = {"greedy": None, "earn": EARN, "learn": LEARN}


@dataclass(frozen=True)
class Lived:
    """Conversions per lead to expect, by the truth, in each month."""

    policy: list[float]
    rotation: list[float]


def live(seed: int, exploration: Exploration | None, *, months: int = MONTHS, history: int = HISTORY,
         reps: int = REPS, leads: int = LEADS) -> Lived:  # fmt: skip
    """A floor's months under one rule, each month's model trained on all that came before."""
    world = simulate(leads=history, reps=reps, seed=seed)
    tables = (world.leads, world.assignments)
    recipe: Recipe | None = None
    policy, rotation = [], []
    for month in range(months):
        made = _floor(world, *tables)
        parts, model = learn(made, seed=seed, recipe=recipe)
        recipe = parts.recipe  # searched for once: a change of it would be the luck of one month
        fresh = _month(world, month, leads)
        day = _day(made, model, fresh, _month(world, month - 1, leads))
        rng = np.random.default_rng([seed, month])
        walk = online(day, slots_of(day, UTILISATION), PLAIN, exploration=exploration, rng=rng)
        policy.append(value(day, walk.chances))
        rotation.append(rotation_value(day.truth, day.eligible))
        drawn = world.log(fresh, np.eye(reps)[walk.reps], seed=month)  # who was drawn, with the outcome
        drawn["propensity"] = walk.chances[np.arange(leads), walk.reps]
        tables = _joined(tables[0], fresh.drop(columns=HIDDEN_GRADE)), _joined(tables[1], drawn)
    return Lived(policy, rotation)


def _month(world: World, month: int, leads: int) -> pd.DataFrame:
    """Leads that come in a month after the history's end; month -1 is only looked at, for prices."""
    fresh = world.fresh_leads(leads, 10 + month)
    return fresh.assign(created_at=fresh["created_at"] + month * MONTH).sort_values("created_at", ignore_index=True)


def _floor(world: World, leads: pd.DataFrame, assignments: pd.DataFrame) -> Floor:
    """The floor with all that has happened, seen when every outcome is known."""
    seen_at = world.exported_at + MONTHS * MONTH + MATURED
    stated = Description.model_validate(world.description() | {"exported_at": seen_at.isoformat()})
    return Floor(world, prepare(dataset_from_tables(leads, world.reps, assignments, stated)))


def _day(made: Floor, model: ConversionModel, fresh: pd.DataFrame, before: pd.DataFrame) -> Day:
    roster, world = roster_of(made, model), made.world
    scores = [
        roster.probability(lead_matrix(each, made.prepared.contract), instants(each["created_at"].dt.tz_localize(None)))
        for each in (before, fresh)
    ]
    return Day(scores[0], world.eligible(before), scores[1], world.probability(fresh), world.eligible(fresh))


def _joined(table: pd.DataFrame, more: pd.DataFrame) -> pd.DataFrame:
    return pd.concat([table, more], ignore_index=True)


def costs(seeds: int, *, months: int = MONTHS) -> dict[str, list[float]]:
    """By preset, for each floor, the part of greedy's gain over rotation that it loses over the months."""
    found: dict[str, list[float]] = {name: [] for name in RULES if name != "greedy"}
    for seed in range(seeds):
        lived = {name: live(seed, rule, months=months) for name, rule in RULES.items()}
        best, nothing = np.sum(lived["greedy"].policy), np.sum(lived["greedy"].rotation)
        for name, each in found.items():
            each.append(float((best - np.sum(lived[name].policy)) / (best - nothing)))
    return found


def main(arguments: list[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=10)
    asked = parser.parse_args(arguments)
    found = costs(asked.seeds)
    print(
        f"\n## Exploration where the model goes on learning, {asked.seeds} floors\n\n{HISTORY:,} leads to begin with, "
        f"{REPS} seats, {MONTHS} months of {LEADS:,} leads, a new model each month, slots {UTILISATION:.0%} full.\n"
    )
    print("| exploration | costs of greedy's gain |\n| --- | --- |")
    for name, each in found.items():
        print(f"| {name} | {shown(each)} |")


if __name__ == "__main__":
    main()
