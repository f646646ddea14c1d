"""F and the rep effects together: P(convert | lead, rep) for every rep of a roster at once.

eta(x, r) = intercept + slope * (F(x) + f(x, r)'beta + z(x)'b_r),    P = 1 / (1 + exp(-eta))
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from data.roster import Rep
from features.columns import ColumnContract
from features.leads import LeadDesign
from features.pairs import PairDesign, RepMatches
from training.calibration import Calibration
from training.expected_value import ValueModel
from training.lead_model import LeadModel
from training.log_odds import expit
from training.rep_effects import RepEffects

SPEAKING_VERDICTS = frozenset({"rep_matters", "unconfirmed"})


@dataclass(frozen=True)
class ConversionModel:
    """Everything a prediction needs; plain values, saved as plain files by `training.model_files`."""

    contract: ColumnContract
    lead_model: LeadModel
    lead_design: LeadDesign
    pair_design: PairDesign
    reps: tuple[Rep, ...]  # as they stood in training; effects are in this order
    effects: RepEffects
    calibration: Calibration
    score_grid: np.ndarray  # (101,) percentiles of the rotation probability among the training window's leads
    grade_cuts: tuple[float, float, float]  # rotation probability from which a lead is A, B, C; below: D
    verdict: str
    window_days: float
    facts: Mapping[str, Any] = field(default_factory=dict)  # rows, moments, columns: what a reader asks of a model
    value_model: ValueModel | None = None  # None where too few won rows say what they were worth

    @property
    def speaks(self) -> bool:
        """Whether the verdict lets the model tell one rep from another."""
        return self.verdict in SPEAKING_VERDICTS


class RosterModel:
    """The model laid out for one roster: arrays in the roster's order, nothing rebuilt a lead."""

    def __init__(self, model: ConversionModel, reps: Sequence[Rep]) -> None:
        self.model = model
        self.reps = tuple(reps)
        self.matches = RepMatches(model.pair_design, model.contract, self.reps)
        place = {rep.rep_id: i for i, rep in enumerate(model.reps)}
        self._known = np.array([place.get(rep.rep_id, -1) for rep in self.reps], dtype=np.intp)
        self.effects = np.zeros((len(self.reps), model.lead_design.width))
        seen = self._known >= 0
        self.effects[seen] = model.effects.effects[self._known[seen]]

    @cached_property
    def covariance(self) -> np.ndarray:
        """Posterior covariance of each rep's effects, shape (n_reps, width, width)."""
        # A rep the training never saw: the average rep, with the prior's whole uncertainty.
        whole = np.tile(np.diag(self.model.effects.prior_variance), (len(self.reps), 1, 1))
        seen = self._known >= 0
        whole[seen] = self.model.effects.covariance[self._known[seen]]
        return whole

    def pairs(self, leads: np.ndarray, at_days: np.ndarray) -> np.ndarray:
        """f(x, r), shape (n_leads, n_reps, n_pairs)."""
        f = np.empty((len(leads), len(self.reps), self.model.pair_design.width))
        for place, column in enumerate(self._pair_columns(leads, at_days)):
            f[:, :, place] = column
        return f

    def _pair_columns(self, leads: np.ndarray, at_days: np.ndarray) -> Iterator[np.ndarray]:
        """The columns of f(x, r) one after another, each of shape (n_leads, n_reps)."""
        for match in range(len(self.model.pair_design.matches)):
            yield self.matches.matched(leads, match)
        if self.model.pair_design.tenure:
            yield from RepMatches.ramps(at_days[:, None], self.matches.hired_days[None, :])

    def rep_part(self, leads: np.ndarray, at_days: np.ndarray) -> np.ndarray:
        """F'beta + z'b before recalibration, in log-odds, shape (n_leads, n_reps)."""
        part = self.model.lead_design.matrix(leads) @ self.effects.T
        # Column by column: all of f(x, r) at once would be several times as large as the answer.
        for weight, column in zip(self.model.effects.beta, self._pair_columns(leads, at_days), strict=True):
            part += weight * column
        return part

    def log_odds(self, leads: np.ndarray, at_days: np.ndarray) -> np.ndarray:
        """eta(x, r), shape (n_leads, n_reps)."""
        lead = self.model.lead_model.log_odds(leads)[:, None]
        return self.model.calibration.apply(lead + self.rep_part(leads, at_days))

    def probability(self, leads: np.ndarray, at_days: np.ndarray) -> np.ndarray:
        """P(convert | lead, rep) within the maturity window, shape (n_leads, n_reps).

        leads : (n, n_features), encoded with the model's contract; at_days : (n,) days since 1970 UTC.
        Where the verdict says that the reps cannot be told apart, it still differs by rep: deciding what
        to make of it is the policy's part.
        """
        return expit(self.log_odds(leads, at_days))
