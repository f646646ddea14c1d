"""Vowpal Wabbit's contextual bandit over the reps who could have got each lead, as a rival of our model.

Needs the package `vowpalwabbit` (`make rivals`). Each past lead is one example: what is known of the lead, a line for
each rep who could have got it, and the outcome with its propensity on the line of the rep who did. The bandit is given
the history's true propensities, which no CRM records: without them it could not learn from the past at all.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import vowpalwabbit

from data.roster import Rep
from features.columns import ColumnContract
from training.plain_design import PlainDesign, measure_design

# The best of seven on two worlds of ten reps: costs by mtr, dr or ips, one pass or three, four sizes of its steps.
OPTIONS = "--cb_adf --cb_type mtr -q LR --learning_rate 0.02 --bit_precision 22 --random_seed 1 --quiet"


@dataclass(frozen=True)
class Bandit:
    """A fitted bandit; `reps` as it knows them."""

    workspace: vowpalwabbit.Workspace
    design: PlainDesign
    reps: tuple[Rep, ...]

    def probability(self, leads: np.ndarray) -> np.ndarray:
        """What it expects of each lead with each rep, shape (n_leads, n_reps); clipped, for these are no chances."""
        lines = [_line_of_rep(rep) for rep in self.reps]
        shared = _lines_of_leads(self.design, leads)
        rows = [self._ask("\n".join([one, *lines])) for one in shared]
        return np.clip(-np.array(rows), 1e-4, 1 - 1e-4)

    def _ask(self, example: str) -> list[float]:
        scores = self.workspace.predict(example)
        by_action = dict(scores) if isinstance(scores[0], tuple) else dict(enumerate(scores))
        return [by_action[action] for action in range(len(self.reps))]


def fit_bandit(
    contract: ColumnContract,
    reps: Sequence[Rep],
    *,
    leads: np.ndarray,
    rep: np.ndarray,
    converted: np.ndarray,
    propensity: np.ndarray,
    could: np.ndarray,
) -> Bandit:
    """The bandit after one pass over the history in time order.

    leads : (n, n_features), encoded; rep : int (n,); propensity : (n,) true chance of that rep; could : bool
    (n, n_reps), who could have got the lead.
    """
    design = measure_design(contract, leads)
    workspace = vowpalwabbit.Workspace(OPTIONS)
    lines = [_line_of_rep(one) for one in reps]
    for row, shared in enumerate(_lines_of_leads(design, leads)):
        example = [shared]
        for place in np.flatnonzero(could[row]):
            label = f"0:{-converted[row]:g}:{propensity[row]:.6f} " if place == rep[row] else ""
            example.append(label + lines[place])
        workspace.learn("\n".join(example))
    return Bandit(workspace, design, tuple(reps))


def _lines_of_leads(design: PlainDesign, leads: np.ndarray) -> list[str]:
    matrix = design.matrix(leads)[:, 1:]
    return [
        "shared |L " + " ".join(f"x{column}:{row[column]:.4g}" for column in np.flatnonzero(row)) for row in matrix
    ]


def _line_of_rep(rep: Rep) -> str:
    """What the bandit is told of a rep: the id, and what the roster states."""
    words = [f"id={rep.rep_id}", f"region={rep.region}", *(f"skill={one}" for one in rep.skills)]
    words += [f"covers={one}" for one in rep.regions] + [f"speaks={one}" for one in rep.languages]
    return "|R " + " ".join(word.replace(" ", "_") for word in words)
