"""What a user would pick instead, beside our model, on the same worlds in one run.

`make rivals` installs what it needs into an environment of its own and runs `python -m tests.bench.rivals`. It prints a
table for each size of floor: the share of the possible gain (reps' slots 90 % full, and without limit), the slope of
true on predicted differences between reps, and the expected log-loss on fresh leads under rotation. What is not
installed is left out and named. The forest takes a minute or two a world, so it runs with ten reps alone.
"""

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec

import numpy as np
import pandas as pd

from data.simulator.tables import days_of
from tests.bench.worlds import Floor, Fresh, current_places, floor, learn, roster_of, worth
from training.baselines import fit_rep_mean, fit_s_learner, fit_t_learner, naive_bayes

CELLS = ((10_000, 10), (10_000, 40))
MOST_REPS_OF_FOREST = 10
QUANTILES = 6  # that naive Bayes sees a number in
MEASURES = ("share of the gain", "without limits", "slope", "log-loss", "fit, CPU s")

Predict = Callable[[Fresh], np.ndarray]


@dataclass(frozen=True)
class Rival:
    """How to learn from a floor's history, and what must be installed for it."""

    name: str
    fit: Callable[[Floor], Predict]
    needs: str | None = None
    most_seats: int | None = None
    chances: bool = True  # whether what it predicts is meant as a probability

    def installed(self) -> bool:
        """Whether what it needs can be imported."""
        return self.needs is None or find_spec(self.needs) is not None


def leadmatch(made: Floor) -> Predict:
    """Ours."""
    roster = roster_of(made, learn(made)[1])
    return lambda leads: roster.probability(leads.matrix, leads.at_days)


def rep_mean(made: Floor) -> Predict:
    """Each rep's shrunk conversion rate."""
    spells = made.prepared.spells
    return _of_here(made, fit_rep_mean(spells.rep, spells.converted, len(spells.reps)).probability)


def s_learner(made: Floor) -> Predict:
    """One LightGBM with the rep as a category."""
    spells, categorical = made.prepared.spells, made.prepared.contract.categorical
    args = (spells.leads, spells.rep, spells.converted, len(spells.reps))
    return _of_here(made, fit_s_learner(*args, categorical=categorical).probability)


def t_learner(made: Floor) -> Predict:
    """A LightGBM a rep."""
    spells, categorical = made.prepared.spells, made.prepared.contract.categorical
    args = (spells.leads, spells.rep, spells.converted, len(spells.reps))
    return _of_here(made, fit_t_learner(*args, categorical=categorical).probability)


def odoo(made: Floor) -> Predict:
    """Odoo's naive Bayes, which scores the lead and knows no reps; numbers in six equal parts, for it takes words."""
    table, dataset = made.prepared.dataset.leads.set_index("lead_id"), made.prepared.dataset
    columns = [column.name for column in made.prepared.contract.columns]
    cuts = {
        name: np.unique(table[name].quantile(np.linspace(0, 1, QUANTILES + 1)[1:-1]))
        for name in columns
        if table[name].dtype.kind in "fiu"
    }

    def words(leads: pd.DataFrame) -> pd.DataFrame:
        return pd.DataFrame(
            {
                name: pd.Series(np.searchsorted(cuts[name], leads[name]), dtype=object).where(leads[name].notna().array)
                if name in cuts
                else leads[name].array
                for name in columns
            }
        )

    mature = made.prepared.spells.labels.mature
    past = table.loc[dataset.assignments["lead_id"][mature]]
    fitted = naive_bayes(words(past), made.prepared.spells.converted)
    seats = len(made.world.rep_ids)
    return lambda leads: np.tile(fitted.probability(words(leads.leads))[:, None], (1, seats))


def bandit(made: Floor) -> Predict:
    """Vowpal Wabbit's contextual bandit, given the true propensities."""
    from tests.bench.bandit import fit_bandit

    spells = made.prepared.spells
    learned = fit_bandit(
        made.prepared.contract, spells.reps, leads=spells.leads, rep=spells.rep, converted=spells.converted,
        propensity=made.world.truth.assignments["propensity"].to_numpy()[spells.labels.mature], could=could_get(made),
    )  # fmt: skip
    return _of_here(made, learned.probability)


def forest(made: Floor) -> Predict:
    """econml's doubly robust forest, the rep as the treatment."""
    from tests.bench.forest import fit_forest

    spells = made.prepared.spells
    learned = fit_forest(
        made.prepared.contract, leads=spells.leads, rep=spells.rep, converted=spells.converted, n_reps=len(spells.reps)
    )
    return _of_here(made, learned.probability)


RIVALS = (
    Rival("leadmatch", leadmatch),
    Rival("rep mean", rep_mean),
    Rival("S-learner (LightGBM)", s_learner),
    Rival("T-learner (LightGBM)", t_learner),
    Rival("naive Bayes (Odoo's)", odoo),
    Rival("Vowpal Wabbit, cb_adf mtr", bandit, needs="vowpalwabbit", chances=False),
    Rival("econml, ForestDRLearner", forest, needs="econml", most_seats=MOST_REPS_OF_FOREST),
)


def could_get(made: Floor) -> np.ndarray:
    """Who sat on the floor and covered the region of each mature row's lead, bool (n, n_reps)."""
    world, mature = made.world, made.prepared.spells.labels.mature
    staff, assigned = world.staff, days_of(world.assignments["assigned_at"])[mature]
    known = {rep.rep_id: place for place, rep in enumerate(made.prepared.spells.reps)}
    place = np.array([known[rep_id] for rep_id in world.reps["rep_id"]])
    here = (staff.hired_days <= assigned[:, None]) & (assigned[:, None] < staff.left_days)
    regions = world.leads["region"].to_numpy()[mature]
    covers = np.column_stack([[region in stated.split(";") for region in regions] for stated in world.reps["regions"]])
    could = np.zeros((len(assigned), len(place)), dtype=bool)
    could[:, place] = here & covers
    could[np.arange(len(assigned)), made.prepared.spells.rep] = True  # handed over within the hour of a leaving
    return could


def measure(made: Floor, rival: Rival) -> tuple[float, ...]:
    """`MEASURES` of one rival on one floor."""
    began = time.process_time()
    predict = rival.fit(made)
    fitted = time.process_time() - began
    predicted = {id(leads): predict(leads) for leads in made.batches}
    loss = np.mean([_expected_loss(leads, predicted[id(leads)]) for leads in made.batches]) if rival.chances else np.nan
    if all(np.ptp(p, axis=1).max() == 0 for p in predicted.values()):
        return 0.0, 0.0, np.nan, float(loss), fitted  # it tells no rep from another, so its leads rotate
    earned = worth(made, lambda leads: predicted[id(leads)])
    slope = earned.slope if rival.chances else np.nan
    return earned.share_capacity, earned.share_free, slope, float(loss), fitted


def _of_here(made: Floor, probability: Callable[[np.ndarray], np.ndarray]) -> Predict:
    here = current_places(made)
    return lambda leads: probability(leads.matrix)[:, here]


def _expected_loss(leads: Fresh, p: np.ndarray) -> float:
    """Log-loss that the truth makes us expect when each eligible rep is equally likely to get the lead."""
    loss = -(leads.truth * np.log(p) + (1 - leads.truth) * np.log1p(-p))
    return float((np.where(leads.eligible, loss, 0.0).sum(axis=1) / leads.eligible.sum(axis=1)).mean())


def _figure(values: np.ndarray, digits: int) -> str:
    if np.isnan(values).all():
        return "–"
    error = values.std(ddof=1) / np.sqrt(len(values)) if len(values) > 1 else float("nan")
    return f"{values.mean():.{digits}f} ± {error:.{digits}f}"


def main(arguments: list[str] | None = None) -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=5)
    seeds = range(parser.parse_args(arguments).seeds)
    for missing in (rival for rival in RIVALS if not rival.installed()):
        print(f"{missing.name}: left out, {missing.needs} is not installed; `make rivals` installs it.")
    for leads, seats in CELLS:
        print(f"\n## Rivals, {leads:,} leads, {seats} seats, {len(seeds)} worlds\n")
        print("| model | " + " | ".join(MEASURES) + " |\n" + "| --- " * (len(MEASURES) + 1) + "|")
        floors = [floor(leads, seats, seed) for seed in seeds]
        for rival in RIVALS:
            if not rival.installed() or seats > (rival.most_seats or seats):
                continue
            share, free, slope, loss, seconds = np.array([measure(made, rival) for made in floors]).T
            cells = [_figure(share, 3), _figure(free, 3), _figure(slope, 2), _figure(loss, 4), f"{seconds.mean():.1f}"]
            print(f"| {rival.name} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
