"""One lead x every rep: probabilities, uplift with its interval, and the parts they are made of."""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cached_property
from typing import Any

import numpy as np

from data.roster import Rep
from features.columns import SECONDS_A_DAY
from features.one_lead import LeadEncoder
from training.conversion import ConversionModel
from training.explain import Contribution, largest, lead_shares, rep_terms
from training.log_odds import expit
from training.rep_arithmetic import Among
from training.roster_columns import RosterColumns
from training.uplift import Interval, Intervals, intervals

GRADES = ("A", "B", "C", "D")
ONE_MASK = np.zeros(1, dtype=np.intp)  # the mask of each lead, where there is one lead
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
        self.columns = RosterColumns(model, self.reps)
        self.encoder = LeadEncoder(model.contract, ignored=IDENTIFYING)
        self.terms = rep_terms(model.lead_design, model.pair_design)
        self.percentiles = model.score_grid[1:].tolist()
        self.average = float(np.trapezoid(model.score_grid)) / 100  # the mean of what the percentiles are of

    def score(self, lead: Mapping[str, Any], *, at: datetime) -> "LeadScores":
        """Everything there is to say of one lead; `at` is the moment of the decision (reps' tenure counts to it)."""
        row, warnings = self.encoder.encode(lead)
        return LeadScores(self, row, at.timestamp() / SECONDS_A_DAY, lead, tuple(warnings))


class LeadScores:
    """One lead's scores against the scorer's roster. Arrays are in the order of `scorer.rep_ids`."""

    def __init__(
        self, scorer: Scorer, row: Sequence[float], at_days: float, lead: Mapping[str, Any], warnings: tuple[str, ...]
    ) -> None:
        self.scorer = scorer
        self.row = row
        self.at_days = at_days
        self.lead = lead
        self.warnings = warnings
        model = scorer.model
        self._f = model.lead_model.log_odds_of(row)
        self._day = scorer.columns.day(at_days)
        self._touched = scorer.columns.touched(row)
        self._scores = self._day.arithmetic.scores(self._touched, np.array([model.calibration.apply(self._f)]))
        self.log_odds, self.probability = self._scores[0][0], self._scores[1][0]
        self._baseline: tuple[np.ndarray, float] | None = None  # of the eligible who were asked about last

    @cached_property
    def expected_value(self) -> float | None:
        """What the lead is worth once it is won, whoever wins it; None where the model cannot tell."""
        model = self.scorer.model.value_model
        return None if model is None else model.expected_of(self.row)

    def baseline(self, eligible: np.ndarray) -> float:
        """What rotation would give: the mean probability over the eligible reps. eligible : bool (n_reps,)."""
        if self._baseline is None or self._baseline[0] is not eligible:
            self._baseline = (eligible, float(self.probability @ eligible / np.count_nonzero(eligible)))
        return self._baseline[1]

    def uplifts(self, reps: np.ndarray, eligible: np.ndarray, level: float = 0.9) -> Intervals:
        """P under each of `reps` (places, (k,)) less the baseline, with its interval.

        0 with its interval where reps cannot be told apart. eligible : bool (n_reps,).
        """
        _, value, error = self._day.arithmetic.uplifts(
            self._touched, self._scores[1], self._variance, _among(eligible), reps[None]
        )
        return intervals(value[0] if self.scorer.model.speaks else np.zeros(len(reps)), error[0], level)

    def uplift(self, rep: int, eligible: np.ndarray, level: float = 0.9) -> Interval:
        """The same for one rep."""
        return self.uplifts(np.array([rep]), eligible, level).one(0)

    def shares_of(self, reps: np.ndarray, eligible: np.ndarray) -> np.ndarray:
        """What each of the scorer's terms adds to the uplift of each of `reps`, in probability: (k, n_terms).

        A row sums to that rep's uplift; all of it is 0 where reps cannot be told apart.
        """
        if not self.scorer.model.speaks:
            return np.zeros((len(reps), len(self.scorer.terms)))
        return self._shares(reps, eligible)

    def reasons_of(self, reps: np.ndarray, eligible: np.ndarray, k: int = 5) -> list[list[Contribution]]:
        """For each of `reps`, the largest k parts of her uplift and one `other`; they add up to its value."""
        each = zip(self._seen_by(reps.tolist()), self.shares_of(reps, eligible).tolist(), strict=True)
        return [largest(self.scorer.terms, seen, own, k) for seen, own in each]

    def reasons(self, rep: int, eligible: np.ndarray, k: int = 5) -> list[Contribution]:
        """The same for one rep."""
        return self.reasons_of(np.array([rep]), eligible, k)[0]

    def contrast(self, rep: int, other: int, k: int = 3) -> list[Contribution]:
        """Why one rep rather than another: parts of P(rep) - P(other), the largest k and one `other`."""
        alone = np.zeros(len(self.probability), dtype=bool)
        alone[other] = True
        shares = self._shares(np.array([rep]), alone)[0].tolist()
        return largest(self.scorer.terms, self._seen_by([rep])[0], shares, k)

    def _shares(self, reps: np.ndarray, eligible: np.ndarray) -> np.ndarray:
        shares: np.ndarray = self._day.arithmetic.shares(self._touched, *self._scores, _among(eligible), reps[None])[0]
        return shares

    def lead_score(self, eligible: np.ndarray) -> int:
        """Percentile, 0 to 100, of the rotation probability among the training window's leads."""
        return bisect_right(self.scorer.percentiles, self.baseline(eligible))

    def grade(self, eligible: np.ndarray) -> str:
        """A for the best fifth of the training window's leads, then B, C and D."""
        return grade_of(self.baseline(eligible), self.scorer.model.grade_cuts)

    def lead_reasons(self, eligible: np.ndarray, k: int = 5) -> list[Contribution]:
        """The lead's own waterfall, from the average lead's rotation probability to this one's: k parts and `other`."""
        model = self.scorer.model
        parts = model.lead_model.contributions_of(self.row)
        here_alone = model.calibration.apply(self._f)
        rep_level = float(self.log_odds @ eligible / np.count_nonzero(eligible)) - here_alone
        base = float(model.calibration.apply(parts[-1])) + rep_level
        here = here_alone + rep_level
        gap = here - base
        scale = float((expit(here) - expit(base)) / gap) if abs(gap) > 1e-9 else float(expit(here) * expit(-here))
        terms, shares = lead_shares(model.contract, parts[:-1] * model.calibration.slope, scale=scale)
        values = [self.lead.get(term.feature) for term in terms]
        whole = self.baseline(eligible) - self.scorer.average
        return largest(terms, values, shares, k, unnamed=whole - sum(shares))

    @cached_property
    def _variance(self) -> np.ndarray:
        variance: np.ndarray = self._day.arithmetic.variance(self._touched)
        return variance

    @cached_property
    def _stated(self) -> list[Any]:
        """The lead's value behind each term; None where a term is not about the lead."""
        apart = ("overall", "tenure")
        return [None if term.kind in apart else self.lead.get(term.feature) for term in self.scorer.terms]

    def _seen_by(self, reps: Sequence[int]) -> list[list[Any]]:
        """The values behind each rep's terms: the lead's, or for tenure, which is the last, her days here."""
        if not self.scorer.model.pair_design.tenure:
            return [self._stated] * len(reps)
        stated = self._stated[:-1]
        return [[*stated, self._day.here[rep]] for rep in reps]


def _among(eligible: np.ndarray) -> Among:
    return Among(eligible[None], ONE_MASK)
