"""Is a replay's interval honest, and how many leads does each preset need before a replay can tell anything?

python -m tests.bench.replay --worlds 100
"""

import argparse
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np

from data.roster import Rep
from serving.deciding.replay_report import Replay, Row, told
from serving.policy.exploration import EARN, LEARN, Exploration, smoothed
from tests.bench.policy_value import open_floor, rotation_of, scored
from tests.bench.worlds import Floor
from training.conversion import RosterModel

LOGGED, TRUTH_SAMPLE = 4_000, 10_000
HOLDOUT = {"learn": 0.5, "earn": 0.1}  # of the modes in which the presets are the default
PRESETS = {"learn": LEARN, "earn": EARN}
ENOUGH = 100.0
NOW = datetime(2026, 3, 2, tzinfo=UTC)


@dataclass(frozen=True)
class Outcome:
    """One world's replay: the truth, what was found, and how many leads one effective lead takes."""

    truth: float
    value: float | None
    low: float | None
    high: float | None
    leads_an_effective_one: float


def chances(probability: np.ndarray, eligible: np.ndarray, preset: Exploration, holdout: float) -> np.ndarray:
    """The mixture of a trial: rotation for the held out, the model under a preset for the others, (n, n_reps)."""
    nothing = np.zeros(probability.shape[1])
    rows = zip(probability, eligible, strict=True)
    policy = np.array([smoothed(p, nothing, able, preset) for p, able in rows])
    return holdout * rotation_of(eligible) + (1 - holdout) * policy


def candidate(probability: np.ndarray, eligible: np.ndarray) -> np.ndarray:
    """The rule book to try: another model's opinion, half of it the model's and half of it noise, in earn mode."""
    noise = np.random.default_rng(1).normal(0, 0.25, probability.shape[1])
    log_odds = np.log(probability / (1 - probability)) + noise
    return chances(1 / (1 + np.exp(-log_odds)), eligible, EARN, 0.1)


def run(seed: int) -> dict[str, Outcome]:
    """One world, logged under each preset; the candidate replayed on both."""
    made, roster = open_floor(seed)
    return {preset: replayed(made, roster, preset) for preset in PRESETS}


def replayed(made: Floor, roster: RosterModel, preset: str) -> Outcome:
    """The candidate replayed on one log."""
    leads = made.world.fresh_leads(LOGGED, 1)
    probability, eligible = scored(made, roster, leads)
    logged = chances(probability, eligible, PRESETS[preset], HOLDOUT[preset])
    target = candidate(probability, eligible)
    drawn = made.world.log(leads, logged, seed=1)
    place = {rep_id: number for number, rep_id in enumerate(made.world.rep_ids)}
    reps = tuple(Rep(rep_id) for rep_id in made.world.rep_ids)
    won = (drawn["outcome"] == "won").to_numpy()
    rows = []
    for number, rep_id in enumerate(drawn["rep_id"]):
        chosen = place[rep_id]
        rows.append(
            Row(
                decision_id=str(number), lead_id=str(number), at=NOW, reps=reps, logged=logged[number],
                replayed=target[number], chosen=chosen, drawn=chosen, probability=probability[number], baseline=0.0,
                wider=False, converted=bool(won[number]), mature=True, shadow=False,
            )
        )  # fmt: skip
    worth = told(Replay(rows, {}), at=NOW, newcomer_days=90)["worth"]
    others = made.world.fresh_leads(TRUTH_SAMPLE, 2)
    p, able = scored(made, roster, others)
    gap = candidate(p, able) - chances(p, able, PRESETS[preset], HOLDOUT[preset])
    truth = float(np.sum(gap * made.world.probability(others), axis=1).mean())
    found = worth["difference"]
    return Outcome(truth, found["value"], found["low"], found["high"], LOGGED / worth["effective_sample_size"])


def summarised(outcomes: list[Outcome]) -> dict[str, float]:
    """Coverage of the 90 % interval, bias, and leads for an effective sample of 100."""
    told_of = [one for one in outcomes if one.value is not None]
    covered = [one.low <= one.truth <= one.high for one in told_of]  # type: ignore[operator]
    gaps = np.array([float(one.value or 0.0) - one.truth for one in told_of])
    return {
        "worlds": len(outcomes),
        "told": len(told_of),
        "coverage": float(np.mean(covered)) if covered else np.nan,
        "bias": float(gaps.mean()) if len(gaps) else np.nan,
        "bias_error": float(gaps.std(ddof=1) / np.sqrt(len(gaps))) if len(gaps) > 1 else np.nan,
        "leads_for_100": ENOUGH * float(np.median([one.leads_an_effective_one for one in outcomes])),
    }


def main(arguments: list[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--worlds", type=int, default=100)
    worlds = parser.parse_args(arguments).worlds
    print(
        f"\n## A rule book replayed on another one's log, {worlds} worlds\n\n20 seats, {LOGGED:,} logged leads; learn "
        f"with half held out, as in a trial, earn with a tenth, as live. The book tried prefers other reps.\n"
    )
    print("| logged under | 90 % interval covers | bias | leads for an effective sample of 100 |")
    print("| --- " * 4 + "|")
    found = [run(seed) for seed in range(2_000, 2_000 + worlds)]
    for preset in PRESETS:
        row = summarised([one[preset] for one in found])
        bias = f"{row['bias']:+.4f} ± {row['bias_error']:.4f}"
        print(f"| {preset} | {row['coverage']:.2f} | {bias} | {row['leads_for_100']:,.0f} |", flush=True)


if __name__ == "__main__":
    main()
