"""One lead x every rep: probabilities, uplift with its interval, and the parts they are made of."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cached_property
from typing import Any

import numpy as np
from scipy.special import expit

from data.roster import Rep
from features.columns import SECONDS_A_DAY
from training.conversion import ConversionModel, RosterModel
from training.explain import (
    Contribution,
    largest,
    lead_shares,
    rep_terms,
    secants,
    shares_of_uplift,
    term_values,
)
from training.uplift import Interval, uplift_interval

GRADES = ("A", "B", "C", "D")
IDENTIFYING = frozenset({"lead_id", "created_at", "customer_id", "name", "email", "phone", "company"})


def grade_of(rotation: float, cuts: Sequence[float]) -> str:
    """The grade of a rotation probability: A from the first cut on, then B and C; D below the last."""
    return next((grade for grade, cut in zip(GRADES, cuts, strict=False) if rotation >= cut), "D")


class Scorer:
    """A model laid out for one roster; build a new one when either changes."""

    def __init__(self, model: ConversionModel, reps: Sequence[Rep]) -> None:
        self.model = model
        self.reps = tuple(reps)
        self.rep_ids = tuple(rep.rep_id for rep in self.reps)
        self.roster = RosterModel(model, self.reps)
        self.terms = rep_terms(model.lead_design, model.pair_design)

    def score(self, lead: Mapping[str, Any], *, at: datetime) -> "LeadScores":
        """Everything there is to say of one lead; `at` is the moment of the decision (reps' tenure counts to it)."""
        matrix = self.model.contract.encode({name: [value] for name, value in lead.items()}, 1)
        warnings = self.model.contract.warnings(lead, ignored=IDENTIFYING)
        return self.score_row(matrix, at.timestamp() / SECONDS_A_DAY, lead=lead, warnings=tuple(warnings))

    def score_row(
        self, row: np.ndarray, at_days: float, *, lead: Mapping[str, Any], warnings: tuple[str, ...] = ()
    ) -> "LeadScores":
        """The same for a lead that is encoded already, shape (1, n_features)."""
        return LeadScores(self, row, at_days, lead, warnings)


class LeadScores:
    """One lead's scores against the scorer's roster. Arrays are in the order of `scorer.rep_ids`."""

    def __init__(
        self, scorer: Scorer, row: np.ndarray, at_days: float, lead: Mapping[str, Any], warnings: tuple[str, ...]
    ) -> None:
        self.scorer = scorer
        self.row = row
        self.at_days = at_days
        self.lead = lead
        self.warnings = warnings
        model, roster = scorer.model, scorer.roster
        self._z = model.lead_design.matrix(row)[0]
        self._pairs = roster.pairs(row, np.array([at_days]))[0]
        self._f = float(model.lead_model.log_odds(row)[0])
        part = roster.effects @ self._z + self._pairs @ model.effects.beta
        self.log_odds = model.calibration.apply(self._f + part)
        self.probability = expit(self.log_odds)

    @cached_property
    def expected_value(self) -> float | None:
        """What the lead is worth once it is won, whoever wins it; None where the model cannot tell."""
        model = self.scorer.model.value_model
        return None if model is None else float(model.expected(self.row)[0])

    def baseline(self, eligible: np.ndarray) -> float:
        """What rotation would give: the mean probability over the eligible reps. eligible : bool (n_reps,)."""
        return float(self.probability[eligible].mean())

    def uplift(self, rep: int, eligible: np.ndarray, level: float = 0.9) -> Interval:
        """P under the rep less the baseline, with its interval; 0 with its interval where reps cannot be told apart."""
        model = self.scorer.model
        interval = uplift_interval(
            rep,
            probability=self.probability,
            eligible=eligible,
            z=self._z,
            covariance=self.scorer.roster.covariance,
            pairs=self._pairs,
            beta_covariance=model.effects.beta_covariance,
            slope=model.calibration.slope,
            level=level,
        )
        if model.speaks:
            return interval
        half = (interval.high - interval.low) / 2
        return Interval(0.0, -half, half)

    def reasons(self, rep: int, eligible: np.ndarray, k: int = 5) -> list[Contribution]:
        """The largest k parts of the uplift and one `other`; they add up to `uplift(rep, eligible).value`."""
        if not self.scorer.model.speaks:
            return [Contribution("other", None, 0.0, "other")]
        shares = shares_of_uplift(self._term_values, self.probability, self.log_odds, rep, eligible)
        return largest(self.scorer.terms, self._seen(rep), shares, k)

    def contrast(self, rep: int, other: int, k: int = 3) -> list[Contribution]:
        """Why one rep rather than another: parts of P(rep) - P(other), the largest k and one `other`."""
        slope = secants(self.probability, self.log_odds, rep, np.array([other]))[0]
        shares = slope * (self._term_values[rep] - self._term_values[other])
        return largest(self.scorer.terms, self._seen(rep), shares, k)

    def lead_score(self, eligible: np.ndarray) -> int:
        """Percentile, 0 to 100, of the rotation probability among the training window's leads."""
        return int(np.searchsorted(self.scorer.model.score_grid[1:], self.baseline(eligible), side="right"))

    def grade(self, eligible: np.ndarray) -> str:
        """A for the best fifth of the training window's leads, then B, C and D."""
        return grade_of(self.baseline(eligible), self.scorer.model.grade_cuts)

    def lead_reasons(self, eligible: np.ndarray, k: int = 5) -> list[Contribution]:
        """The lead's own waterfall, from the average lead's rotation probability to this one's: k parts and `other`."""
        model = self.scorer.model
        parts = model.lead_model.contributions(self.row)[0]
        rep_level = float(np.mean(self.log_odds[eligible])) - float(model.calibration.apply(np.array(self._f)))
        base = float(model.calibration.apply(parts[-1])) + rep_level
        here = float(model.calibration.apply(np.array(self._f))) + rep_level
        gap = here - base
        scale = float((expit(here) - expit(base)) / gap) if abs(gap) > 1e-9 else float(expit(here) * expit(-here))
        terms, shares = lead_shares(model.contract, parts[:-1] * model.calibration.slope, scale=scale)
        values = [self.lead.get(term.feature) for term in terms]
        average = float(np.trapezoid(model.score_grid)) / 100  # the mean of what the percentiles are of
        whole = self.baseline(eligible) - average
        return largest(terms, values, shares, k, unnamed=whole - float(shares.sum()))

    @cached_property
    def _term_values(self) -> np.ndarray:
        model, roster = self.scorer.model, self.scorer.roster
        return term_values(
            model.lead_design,
            model.pair_design,
            z=self._z,
            effects=roster.effects,
            pairs=self._pairs,
            beta=model.effects.beta,
            slope=model.calibration.slope,
        )

    def _seen(self, rep: int) -> list[Any]:
        """The value behind each term: the lead's, or for tenure the rep's days here."""
        hired = self.scorer.roster.matches.hired_days[rep]
        tenure = None if np.isnan(hired) else max(int(np.floor(self.at_days) - np.floor(hired)), 0)
        values = {"overall": None, "tenure": tenure}
        return [values.get(t.kind, self.lead.get(t.feature)) for t in self.scorer.terms]
