"""Is the interval of a policy's gain honest? Many simulated floors, each with a model, a log and a known truth.

python -m tests.bench.policy_value --worlds 200
"""

import argparse
from dataclasses import dataclass

import numpy as np
import pandas as pd

from features.columns import instants
from features.spells import lead_matrix
from serving.policy.exploration import LEARN
from tests.bench.worlds import Floor, floor, learn, roster_of
from training.conversion import RosterModel
from training.policy_value import PolicyValue, direct_method, doubly_robust_scores, estimate
from training.trial import adjusted_lift, lift

HISTORY, LOGGED, TRUTH_SAMPLE, REPS = 6_000, 4_000, 20_000, 20
HOLDOUT = 0.15
ESTIMATES = ("holdout", "holdout, adjusted", "doubly robust", "sum of uplifts")


@dataclass(frozen=True)
class Outcome:
    """The true gain of one world's policy over rotation and what each estimate said of it."""

    truth: float
    found: dict[str, PolicyValue]


def open_floor(seed: int) -> tuple[Floor, RosterModel]:
    """A floor of 20 reps, and the model of 6,000 leads whose assignment was confounded."""
    made = floor(HISTORY, REPS, seed)
    _, model = learn(made, seed=seed)
    return made, roster_of(made, model)


def scored(made: Floor, roster: RosterModel, leads: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """(P as the model sees it, who covers the lead), both (n, n_reps), over the current reps."""
    matrix = lead_matrix(leads, made.prepared.contract)
    at_days = instants(leads["created_at"].dt.tz_localize(None))
    return roster.probability(matrix, at_days), made.world.eligible(leads)


def policy_of(probability: np.ndarray, eligible: np.ndarray) -> np.ndarray:
    """10 % to anyone, the rest by a softmax over log-odds at temperature .25, (n, n_reps)."""
    worth = np.where(eligible, np.log(probability / (1 - probability)), -np.inf) / LEARN.temperature
    weight = np.exp(worth - worth.max(axis=1, keepdims=True))
    chances = (1 - LEARN.uniform) * weight / weight.sum(axis=1, keepdims=True)
    return chances + LEARN.uniform * rotation_of(eligible)


def rotation_of(eligible: np.ndarray) -> np.ndarray:
    """The same chance for everybody who covers the lead, (n, n_reps)."""
    return eligible / eligible.sum(axis=1, keepdims=True)


def true_gain(made: Floor, roster: RosterModel, seed: int) -> float:
    """Conversions per lead that the policy gains over rotation, on a large sample of other leads."""
    leads = made.world.fresh_leads(TRUTH_SAMPLE, seed)
    probability, eligible = scored(made, roster, leads)
    difference = policy_of(probability, eligible) - rotation_of(eligible)
    return float(np.sum(difference * made.world.probability(leads), axis=1).mean())


def run_log(made: Floor, roster: RosterModel, truth: float, seed: int) -> Outcome:
    """One month of 4,000 logged leads, 15 % of them held out for rotation, and what each estimate makes of it."""
    leads = made.world.fresh_leads(LOGGED, seed)
    probability, eligible = scored(made, roster, leads)
    policy, rotation = policy_of(probability, eligible), rotation_of(eligible)
    held_out = np.random.default_rng([made.world.seed, seed]).random(LOGGED) < HOLDOUT
    drawn = made.world.log(leads, np.where(held_out[:, None], rotation, policy), seed=seed)
    place = {rep_id: number for number, rep_id in enumerate(made.world.rep_ids)}
    chosen = np.array([place[rep_id] for rep_id in drawn["rep_id"]])
    converted = (drawn["outcome"] == "won").to_numpy(dtype=float)
    mixture = HOLDOUT * rotation + (1 - HOLDOUT) * policy
    args = (converted, chosen, mixture[np.arange(LOGGED), chosen])
    gain = doubly_robust_scores(*args, policy, probability) - doubly_robust_scores(*args, rotation, probability)
    summed = direct_method(policy, probability).value - direct_method(rotation, probability).value
    found = {
        "holdout": lift(converted, held_out),
        "holdout, adjusted": adjusted_lift(converted, held_out, np.sum(rotation * probability, axis=1)),
        "doubly robust": estimate(gain),
        "sum of uplifts": PolicyValue(summed, np.nan, np.nan, np.nan),
    }
    return Outcome(truth, found)


def run(worlds: int, *, logs: int = 1, first_seed: int = 1_000) -> list[Outcome]:
    """Outcomes of `worlds` floors with `logs` months each."""
    outcomes = []
    for seed in range(first_seed, first_seed + worlds):
        made, roster = open_floor(seed)
        truth = true_gain(made, roster, 0)
        outcomes += [run_log(made, roster, truth, log) for log in range(1, logs + 1)]
    return outcomes


def summarised(outcomes: list[Outcome]) -> list[dict[str, float | str]]:
    """Coverage of the 90 % interval, standard error, bias and power of each estimate."""
    rows: list[dict[str, float | str]] = []
    for name in ESTIMATES:
        truth = np.array([one.truth for one in outcomes])
        found = [one.found[name] for one in outcomes]
        value, error, low, high = (np.array([getattr(one, part) for one in found]) for part in vars(found[0]))
        covered = (low <= truth) & (truth <= high)
        rows.append(
            {
                "estimate": name,
                "coverage": float(covered.mean()) if np.isfinite(error).all() else np.nan,
                "mean_standard_error": float(error.mean()),
                "bias": float((value - truth).mean()),
                "bias_error": float((value - truth).std(ddof=1) / np.sqrt(len(truth))),
                "finds_a_gain": float((low > 0).mean()) if np.isfinite(error).all() else np.nan,
            }
        )
    return rows


def main(arguments: list[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--worlds", type=int, default=200)
    worlds = parser.parse_args(arguments).worlds
    outcomes = run(worlds)
    gain = np.mean([one.truth for one in outcomes])
    print(
        f"\n## The gain of a policy over rotation, {worlds} worlds\n\n{REPS} seats, {HISTORY:,} leads to learn from, "
        f"{LOGGED:,} logged; true gain {gain:.4f} on average. Doubly robust is to cover .85 to .95, |bias| <= .0008.\n"
    )
    print("| estimate | 90 % interval covers | mean standard error | bias | finds the gain |\n" + "| --- " * 5 + "|")
    for row in summarised(outcomes):
        bias = f"{row['bias']:+.4f} ± {row['bias_error']:.4f}"
        cells = [row["estimate"], f"{row['coverage']:.3f}", f"{row['mean_standard_error']:.4f}", bias]
        print("| " + " | ".join([*map(str, cells), f"{row['finds_a_gain']:.2f}"]) + " |", flush=True)


if __name__ == "__main__":
    main()
