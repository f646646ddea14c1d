"""What each model earns on simulated floors: its share of the gain that there is, on leads after the history's end.

`python -m tests.bench.gain --seeds 5` prints the table: means over the seeds with their standard errors;
`--sizes 50000/40` one row of it.
"""

import argparse
import time
from collections.abc import Iterable

import numpy as np

from tests.bench.worlds import Floor, Fresh, coverage, current_places, floor, learn, roster_of, worth
from training.baselines import fit_rep_mean, fit_s_learner, fit_t_learner

CELLS = {(3_000, 40): 0.15, (10_000, 10): 0.45, (10_000, 40): 0.28, (50_000, 40): 0.50, (50_000, 200): 0.40}
PEERS = ("rep mean", "S-learner", "T-learner")


def measure(leads: int, reps: int, seeds: Iterable[int], *, peers: bool = True, **how: float) -> dict[str, np.ndarray]:
    """name -> (n_seeds, 4) of `Earned`; also `coverage` and `fit seconds`, (n_seeds, 1).

    The seconds are a thread's, without the search for F's recipe.
    """
    rows: dict[str, list[tuple[float, ...]]] = {}
    for seed in seeds:
        made = floor(leads, reps, seed, **how)
        parts, model = learn(made)
        began = time.process_time()
        learn(made, recipe=parts.recipe)
        rows.setdefault("fit seconds", []).append((time.process_time() - began,))
        roster = roster_of(made, model)

        def ours(batch: Fresh, roster: object = roster) -> np.ndarray:
            return roster.probability(batch.matrix, batch.at_days)

        rows.setdefault("leadmatch", []).append(_plain(worth(made, ours)))
        rows.setdefault("coverage", []).append((coverage(made, model),))
        if peers:
            for name, predict in _peers(made).items():
                rows.setdefault(name, []).append(_plain(worth(made, predict)))
    return {name: np.array(values) for name, values in rows.items()}


def _peers(made: Floor) -> dict[str, object]:
    spells, contract = made.prepared.spells, made.prepared.contract
    n, here = len(spells.reps), current_places(made)
    mean = fit_rep_mean(spells.rep, spells.converted, n)
    how = {"categorical": contract.categorical}
    s = fit_s_learner(spells.leads, spells.rep, spells.converted, n, **how)
    t = fit_t_learner(spells.leads, spells.rep, spells.converted, n, **how)
    learned = dict(zip(PEERS, (mean, s, t), strict=True))
    return {name: lambda batch, m=m: m.probability(batch.matrix)[:, here] for name, m in learned.items()}


def _plain(earned: object) -> tuple[float, ...]:
    return tuple(vars(earned).values())


def _figure(values: np.ndarray) -> str:
    error = values.std(ddof=1) / np.sqrt(len(values)) if len(values) > 1 else float("nan")
    return f"{values.mean():.3f} ± {error:.3f}"


def main(arguments: list[str] | None = None) -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=5)
    sizes = {f"{leads}/{reps}": (leads, reps) for leads, reps in CELLS}
    parser.add_argument("--sizes", nargs="+", choices=sizes, default=list(sizes), help="leads/seats")
    asked = parser.parse_args(arguments)
    seeds = range(asked.seeds)
    print("\n## Share of the possible gain, reps' slots 90 % full\n")
    names = ["leads / seats", "floor", "leadmatch", "least seed", *PEERS, "slope", "intervals cover"]
    names.append("fit without F's search, CPU s")
    print("| " + " | ".join(names) + " |\n" + "| --- " * len(names) + "|")
    for leads, reps in (sizes[size] for size in asked.sizes):
        least = CELLS[leads, reps]
        made = measure(leads, reps, seeds)
        share = {name: made[name][:, 0] for name in ("leadmatch", *PEERS)}
        cells = [f"{leads:,} / {reps}", f"{least:.2f}", _figure(share["leadmatch"]), f"{share['leadmatch'].min():.2f}"]
        cells += [_figure(share[name]) for name in PEERS]
        cells += [_figure(made["leadmatch"][:, 2]), _figure(made["coverage"][:, 0])]
        cells.append(f"{made['fit seconds'].mean():.1f}")
        print("| " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
