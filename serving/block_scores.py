"""Many leads x every rep: what `Scorer` says of one lead, for a block of them at once, as arrays.

The same formulas as in `training.uplift` and `training.explain`, written as matrix products over the block. What
needs every eligible rep (the mean, the interval, the shares) is done for leads with the same eligible reps together.
"""

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from features.pairs import RepMatches
from serving.scorer import GRADES, Scorer
from training.conversion import RosterModel

LEVEL = 0.9  # of the intervals


@dataclass(frozen=True)
class BlockScores:
    """A block of leads against the scorer's roster, all in the roster's order."""

    leads: np.ndarray  # (n, n_features)
    log_odds: np.ndarray  # (n, n_reps), recalibrated
    probability: np.ndarray  # (n, n_reps)


@dataclass(frozen=True)
class Screened:
    """Who is eligible for each lead of a block; leads alike in that share a class."""

    classes: np.ndarray  # int (n,)
    masks: np.ndarray  # bool (n_classes, n_reps)

    def eligible(self, rows: np.ndarray | slice = slice(None)) -> np.ndarray:
        """Bool (n, n_reps)."""
        return self.masks[self.classes[rows]]


@dataclass(frozen=True)
class Figures:
    """What there is to say of each lead under the rep who was chosen for it; NaN where nobody was, (n,) each."""

    probability: np.ndarray
    baseline: np.ndarray
    uplift: np.ndarray
    low: np.ndarray
    high: np.ndarray
    shares: np.ndarray  # (n, n_terms) parts of the uplift by `scorer.terms`, in probability


class BlockScorer:
    """A scorer laid out for blocks."""

    def __init__(self, scorer: Scorer) -> None:
        self.scorer = scorer
        self.model = model = scorer.model
        self.roster = RosterModel(model, scorer.reps)
        self._slope = model.calibration.slope
        self._groups = model.lead_design.groups
        self._row, self._column = _pairs_that_meet(self._groups, _levels_exclude(scorer))
        twice = np.where(self._row == self._column, 1.0, 2.0)
        # In single precision: seven digits of an interval's width, for half the time of the product.
        self._covariance = (self.roster.covariance[:, self._row, self._column] * twice).astype(np.float32)

    def score(self, leads: np.ndarray, at_days: float) -> BlockScores:
        """Probabilities under every rep. leads : (n, n_features), encoded with the model's contract."""
        design, beta, matches = self.model.pair_design, self.model.effects.beta, self.roster.matches
        log_odds = self.model.lead_design.matrix(leads) @ self.roster.effects.T
        for number in range(len(design.matches)):
            log_odds += beta[number] * matches.matched(leads, number)
        if design.tenure:  # one moment for all, so one row for all
            ramps = RepMatches.ramps(at_days, matches.hired_days)
            log_odds += np.tensordot(beta[len(design.matches) :], np.array(ramps), axes=1)
        log_odds *= self._slope
        log_odds += self.model.calibration.apply(self.model.lead_model.log_odds(leads))[:, None]
        probability = np.negative(log_odds)
        np.exp(probability, out=probability)
        probability += 1.0
        np.reciprocal(probability, out=probability)
        return BlockScores(leads, log_odds, probability)

    def figures(self, scores: BlockScores, screened: Screened, chosen: np.ndarray, at_days: float) -> Figures:
        """Baseline, uplift, interval and shares of each lead under `chosen`, int (n,), -1 where nobody was."""
        n, terms = len(chosen), len(self.scorer.terms)
        blank = [np.full(n, np.nan) for _ in range(5)]
        made = Figures(blank[0], blank[1], blank[2], blank[3], blank[4], np.full((n, terms), np.nan))
        z = self.model.lead_design.matrix(scores.leads)
        for one in np.unique(screened.classes[chosen >= 0]):
            rows = np.flatnonzero((screened.classes == one) & (chosen >= 0))
            who = np.flatnonzero(screened.masks[one])
            self._fill(made, rows, who, scores, z[rows], chosen[rows], at_days)
        if self.model.speaks:
            return made
        # Where reps cannot be told apart, nobody's chance differs from rotation's.
        half = (made.high - made.low) / 2
        none = np.where(chosen >= 0, 0.0, np.nan)
        return Figures(made.baseline, made.baseline, none, -half, half, np.zeros((n, terms)))

    def _fill(
        self,
        made: Figures,
        rows: np.ndarray,
        who: np.ndarray,
        scores: BlockScores,
        z: np.ndarray,
        chosen: np.ndarray,
        at_days: float,
    ) -> None:
        whole = len(who) == scores.probability.shape[1]
        p = scores.probability[rows] if whole else scores.probability[np.ix_(rows, who)]
        eta = scores.log_odds[rows] if whole else scores.log_odds[np.ix_(rows, who)]
        p_chosen, eta_chosen = scores.probability[rows, chosen], scores.log_odds[rows, chosen]
        baseline = p.mean(axis=1)
        gradient = p * (1 - p)
        gradient *= -self._slope / len(who)  # of minus the mean, in each rep's log-odds
        at_chosen = p_chosen * (1 - p_chosen) * self._slope  # of the chosen rep's own probability
        secant = _secants(p, eta, p_chosen, eta_chosen)
        own_variance = self._own_variance(gradient, at_chosen, who, chosen, z)
        common, columns = self._columns(gradient, secant, at_chosen, rows, who, chosen, scores.leads, at_days)
        variance = own_variance + np.einsum("ni,ij,nj->n", common, self.model.effects.beta_covariance, common)
        half = NormalDist().inv_cdf(0.5 + LEVEL / 2) * np.sqrt(variance)
        uplift = p_chosen - baseline
        for name, values in (
            ("probability", p_chosen), ("baseline", baseline), ("uplift", uplift),
            ("low", uplift - half), ("high", uplift + half),
        ):  # fmt: skip
            getattr(made, name)[rows] = values
        made.shares[rows] = np.column_stack([self._own_shares(secant, who, chosen, z), columns])

    def _own_variance(
        self, gradient: np.ndarray, at_chosen: np.ndarray, who: np.ndarray, chosen: np.ndarray, z: np.ndarray
    ) -> np.ndarray:
        """Sum over reps of gradient^2 z'S_r z, (n,): one product with all covariances instead of one a lead."""
        products = (z[:, self._row] * z[:, self._column]).astype(np.float32)
        squares = np.square(gradient, dtype=np.float64).astype(np.float32)
        summed = np.einsum("nk,nk->n", squares @ self._covariance[who], products)
        own = np.einsum("nk,nk->n", self._covariance[chosen], products)
        place = np.searchsorted(who, chosen)
        before = gradient[np.arange(len(chosen)), place]
        return np.maximum(summed + own * ((before + at_chosen) ** 2 - before**2), 0.0)

    def _own_shares(self, secant: np.ndarray, who: np.ndarray, chosen: np.ndarray, z: np.ndarray) -> np.ndarray:
        """The parts of the reps' own effects, one column a group of z, (n, n_groups)."""
        effects = self.roster.effects
        each = effects[chosen] * secant.sum(axis=1, keepdims=True) - secant @ effects[who]
        each *= z * (self._slope / len(who))
        made = np.zeros((len(z), int(self._groups.max()) + 1))
        np.add.at(made.T, self._groups, each.T)
        return made

    def _columns(
        self,
        gradient: np.ndarray,
        secant: np.ndarray,
        at_chosen: np.ndarray,
        rows: np.ndarray,
        who: np.ndarray,
        chosen: np.ndarray,
        leads: np.ndarray,
        at_days: float,
    ) -> tuple[np.ndarray, np.ndarray]:
        """What f(x, r) adds: the uplift's gradient in beta, (n, n_pairs), and the shares by term, (n, n_shared)."""
        model, matches = self.model, self.roster.matches
        design, beta = model.pair_design, model.effects.beta
        common = np.empty((len(rows), design.width))
        parts = np.empty((len(rows), design.width))
        total, scale = secant.sum(axis=1), self._slope / len(who)
        place = np.searchsorted(who, chosen)
        for number in range(len(design.matches)):
            fits = matches.matched(leads[rows], number)[:, who]
            own = fits[np.arange(len(rows)), place]
            common[:, number] = np.einsum("nm,nm->n", gradient, fits) + at_chosen * own
            parts[:, number] = own * total - np.einsum("nm,nm->n", secant, fits)
        if design.tenure:
            for number, ramp in enumerate(RepMatches.ramps(at_days, matches.hired_days), start=len(design.matches)):
                common[:, number] = gradient @ ramp[who] + at_chosen * ramp[chosen]
                parts[:, number] = ramp[chosen] * total - secant @ ramp[who]
        parts *= beta * scale
        names = list(dict.fromkeys(match.lead_column for match in design.matches))
        shared = np.zeros((len(rows), len(names) + int(design.tenure)))
        for number, match in enumerate(design.matches):
            shared[:, names.index(match.lead_column)] += parts[:, number]
        if design.tenure:
            shared[:, -1] = parts[:, len(design.matches) :].sum(axis=1)
        return common, shared

    def lead_score(self, baseline: np.ndarray) -> np.ndarray:
        """Percentile of each rotation probability among the training window's leads, (n,)."""
        return np.searchsorted(self.model.score_grid[1:], baseline, side="right")

    def grade(self, rotation: np.ndarray) -> np.ndarray:
        """The grade of each rotation probability, A to D, object (n,)."""
        cuts = np.array(self.model.grade_cuts)
        # From the first cut that it reaches on; the cuts fall.
        place = (rotation[:, None] < cuts).all(axis=1) * len(cuts) + np.argmax(rotation[:, None] >= cuts, axis=1)
        return np.array(GRADES, dtype=object)[place]


def _secants(p: np.ndarray, eta: np.ndarray, p_chosen: np.ndarray, eta_chosen: np.ndarray) -> np.ndarray:
    """(p_c - p) / (eta_c - eta) of each rep, (n, n_reps); its limit p_c (1 - p_c) where they meet."""
    gap = eta_chosen[:, None] - eta
    made = p_chosen[:, None] - p
    apart = np.abs(gap) > 1e-9
    np.divide(made, gap, out=made, where=apart)
    return np.where(apart, made, (p_chosen * (1 - p_chosen))[:, None])


def _levels_exclude(scorer: Scorer) -> np.ndarray:
    """Whether each column of z is one level of several that exclude each other, bool (width,)."""
    directions = scorer.model.lead_design.directions
    return np.array([False, *(direction.level is not None for direction in directions)])


def _pairs_that_meet(groups: np.ndarray, level: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of columns of z whose product can differ from 0, each once: two levels of one category never meet."""
    row, column = np.triu_indices(len(groups))
    never = (groups[row] == groups[column]) & (row != column) & level[row] & level[column]
    return row[~never], column[~never]
