"""Does the model claim what is not there? Intervals that cover, stars that are only reputed to be, false alarms.

`python -m tests.bench.honesty --worlds 100 --seeds 5` prints all three.
"""

import argparse
from collections import Counter

import numpy as np

from tests.bench.worlds import coverage, current_places, floor, learn
from training.assess import look_for_potential

VERDICTS = ("rep_matters", "unconfirmed", "no_detectable_rep_effect", "too_little_data")


def verdicts(worlds: int, *, effect: float, leads: int = 6_000, reps: int = 20) -> Counter[str]:
    """How often each verdict ends a world; effect 0: nothing that a rep does matters."""
    said: Counter[str] = Counter()
    for seed in range(worlds):
        made = floor(leads, reps, 1_000 + seed, effect=effect)
        parts, _ = learn(made)
        said[look_for_potential(parts, made.prepared.spells, made.prepared.contract, seed=seed).verdict] += 1
    return said


def covered(seed: int, *, hidden_grade: float, leads: int = 10_000, reps: int = 40) -> float:
    """Share of pairs whose true uplift lies in its 90 % interval, on one floor."""
    made = floor(leads, reps, seed, hidden_grade=hidden_grade)
    return coverage(made, learn(made)[1])


def star_bias(seed: int, *, hidden_grade: float, leads: int = 15_000, reps: int = 40) -> float:
    """Correlation of (estimated level - true skill) with mere reputation, over the reps who are still here.

    Below 0 where nothing is hidden: shrinkage alone, as reputation goes a little with skill.
    """
    made = floor(leads, reps, seed, hidden_grade=hidden_grade)
    parts, _ = learn(made)
    here = current_places(made)
    truth = made.world.truth.reps.set_index("rep_id").loc[list(made.world.rep_ids)]
    skill = made.world.staff.effect * truth["skill"].to_numpy()
    return float(np.corrcoef(parts.effects.effects[here, 0] - skill, truth["perceived"].to_numpy())[0, 1])


def _figure(values: np.ndarray) -> str:
    error = values.std(ddof=1) / np.sqrt(len(values)) if len(values) > 1 else float("nan")
    return f"{values.mean():.3f} ± {error:.3f}"


def main(arguments: list[str] | None = None) -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--worlds", type=int, default=100)
    parser.add_argument("--seeds", type=int, default=5)
    asked = parser.parse_args(arguments)
    print("\n## 90 % intervals of a pair's uplift, 10,000 leads, 40 seats\n")
    print("| hidden grades | cover |\n| --- | --- |")
    for name, strength in (("yes", 0.6), ("none", 0.0)):
        shares = np.array([covered(seed, hidden_grade=strength) for seed in range(asked.seeds)])
        print(f"| {name} | {_figure(shares)} |", flush=True)
    print("\n## Correlation of the error in a rep's level with reputation, 15,000 leads, 40 seats\n")
    hidden = np.array([star_bias(seed, hidden_grade=0.6) for seed in range(asked.seeds)])
    clear = np.array([star_bias(seed, hidden_grade=0.0) for seed in range(asked.seeds)])
    gap = hidden - clear
    print(f"| hidden grades | none hidden | difference |\n| --- | --- | --- |\n"
          f"| {hidden.mean():+.2f} | {clear.mean():+.2f} | {_figure(gap)} |", flush=True)  # fmt: skip
    print(f"\n## Verdicts on {asked.worlds} worlds of 6,000 leads and 20 seats, hidden grades\n")
    print("| world | " + " | ".join(VERDICTS) + " |\n" + "| --- " * 5 + "|")
    for name, effect in (("no rep effect", 0.0), ("rep effects", 0.5)):
        said = verdicts(asked.worlds, effect=effect)
        print(f"| {name} | " + " | ".join(str(said[kind]) for kind in VERDICTS) + " |", flush=True)


if __name__ == "__main__":
    main()
