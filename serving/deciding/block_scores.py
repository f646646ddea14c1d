"""Many leads x every rep: what `Scorer` says of one lead, for a block of them at once, as arrays."""

from dataclasses import dataclass

import numpy as np

from serving.deciding.scorer import GRADES, Scorer
from training.rep_arithmetic import Among, Touched
from training.uplift import intervals


@dataclass(frozen=True)
class BlockScores:
    """A block of leads against the scorer's roster, all in the roster's order."""

    leads: np.ndarray  # (n, n_features)
    touched: Touched
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
        self.model = scorer.model

    def score(self, leads: np.ndarray, at_days: float) -> BlockScores:
        """Probabilities under every rep. leads : (n, n_features), encoded with the model's contract."""
        touched, model = self.scorer.columns.touched_by(leads), self.model
        offset = model.calibration.apply(model.lead_model.log_odds(leads))
        return BlockScores(leads, touched, *self.scorer.columns.day(at_days).arithmetic.scores(touched, offset))

    def figures(self, scores: BlockScores, screened: Screened, chosen: np.ndarray, at_days: float) -> Figures:
        """Baseline, uplift, interval and shares of each lead under `chosen`, int (n,), -1 where nobody was."""
        arithmetic, touched = self.scorer.columns.day(at_days).arithmetic, scores.touched
        among, asked, nobody = Among(screened.masks, screened.classes), chosen[:, None], chosen < 0
        variance = arithmetic.variance(touched)
        baseline, value, error = arithmetic.uplifts(touched, scores.probability, variance, among, asked)
        shares = arithmetic.shares(touched, scores.log_odds, scores.probability, among, asked)[:, 0]
        probability = scores.probability[np.arange(len(chosen)), chosen]
        probability[nobody] = baseline[nobody] = np.nan
        shares[nobody] = np.nan
        if self.model.speaks:
            return Figures(probability, baseline, *intervals(value[:, 0], error[:, 0]), shares)
        # Where reps cannot be told apart, nobody's chance differs from rotation's.
        return Figures(baseline, baseline, *intervals(0 * value[:, 0], error[:, 0]), 0 * shares)

    def lead_score(self, baseline: np.ndarray) -> np.ndarray:
        """Percentile of each rotation probability among the training window's leads, (n,)."""
        return np.searchsorted(self.model.score_grid[1:], baseline, side="right")

    def grade(self, rotation: np.ndarray) -> np.ndarray:
        """The grade of each rotation probability, A to D, object (n,)."""
        cuts = np.array(self.model.grade_cuts)
        # From the first cut that it reaches on; the cuts fall.
        place = (rotation[:, None] < cuts).all(axis=1) * len(cuts) + np.argmax(rotation[:, None] >= cuts, axis=1)
        return np.array(GRADES, dtype=object)[place]
