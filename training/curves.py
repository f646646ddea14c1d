"""The curves and tables behind a run's pictures: gains, rep levels, importance of columns, overlap."""

from dataclasses import dataclass

import numpy as np
from scipy.stats import norm

from features.columns import ColumnContract
from training.conversion import ConversionModel
from training.metrics import wilson

LEVEL = 0.9
GAINS_POINTS = 20
ENOUGH_LEADS = 5  # of a kind, for a rep to count as having worked that kind


@dataclass(frozen=True)
class GainsPoint:
    """The leads ranked first, and the share of all conversions among them."""

    share_of_leads: float
    share_of_conversions: float
    low: float
    high: float


@dataclass(frozen=True)
class RepLevel:
    """A rep's overall level against the average rep, in log-odds, with its interval."""

    rep_id: str
    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Importance:
    """How far a column moves a lead's log-odds on average, either way."""

    column: str
    value: float
    standard_error: float


@dataclass(frozen=True)
class Support:
    """The share of all leads that are of a kind this rep has worked before."""

    rep_id: str
    share: float


def gains_curve(
    converted: np.ndarray, probability: np.ndarray, *, points: int = GAINS_POINTS, level: float = LEVEL
) -> list[GainsPoint]:
    """How many of the conversions lie among the leads ranked first, from none to all of the leads.

    Leads of equal probability count in equal parts. The interval is Wilson's over the conversions, the ranking
    held fixed. Raises ValueError where nothing converted.
    """
    total = float(np.sum(converted))
    if not total:
        raise ValueError("No lead converted, so there is no share of the conversions.")
    chances, place, counts = np.unique(-probability, return_inverse=True, return_counts=True)
    won = np.bincount(place, weights=converted, minlength=len(chances))
    reached = np.concatenate([[0.0], np.cumsum(counts)]) / len(converted)
    captured = np.concatenate([[0.0], np.cumsum(won)]) / total
    curve = []
    for share in np.linspace(0, 1, points + 1):
        value = float(np.interp(share, reached, captured))
        low, high = wilson(value * total, total, level)
        curve.append(GainsPoint(float(share), value, low, high))
    return curve


def rep_levels(model: ConversionModel, level: float = LEVEL) -> list[RepLevel]:
    """Each rep's overall level in log-odds with its posterior interval, best first."""
    slope = model.calibration.slope
    values = slope * model.effects.effects[:, 0]
    half = float(norm.ppf(0.5 + level / 2)) * slope * np.sqrt(model.effects.covariance[:, 0, 0])
    rows = [
        RepLevel(rep.rep_id, float(value), float(value - width), float(value + width))
        for rep, value, width in zip(model.reps, values, half, strict=True)
    ]
    return sorted(rows, key=lambda row: -row.value)


def importance(contract: ColumnContract, contributions: np.ndarray) -> list[Importance]:
    """Mean absolute contribution of each column to a lead's log-odds, largest first.

    contributions : (n, n_features); a column that was encoded as several features counts with their sum.
    """
    rows = []
    for column in dict.fromkeys(feature.column for feature in contract.features):
        size = np.abs(column_contribution(contract, contributions, column))
        rows.append(Importance(column, float(size.mean()), float(size.std(ddof=1) / np.sqrt(len(size)))))
    return sorted(rows, key=lambda row: -row.value)


def column_contribution(contract: ColumnContract, contributions: np.ndarray, column: str) -> np.ndarray:
    """One column's part of each lead's log-odds, shape (n,)."""
    places = [place for place, feature in enumerate(contract.features) if feature.column == column]
    return np.asarray(contributions[:, places].sum(axis=1))


def overlap(kinds: np.ndarray, rep: np.ndarray, rep_ids: tuple[str, ...]) -> list[Support]:
    """For each rep the share of all leads whose kind the rep has worked at least five times, lowest first.

    kinds : (n,) which kind of lead each row is; rep : (n,) position in `rep_ids`. Where a rep has not worked a
    kind, what the model says of the two is borrowed from other reps and other kinds.
    """
    _, kind = np.unique(kinds, return_inverse=True)
    worked = np.zeros((len(rep_ids), kind.max() + 1))
    np.add.at(worked, (rep, kind), 1)
    share_of_kind = np.bincount(kind) / len(kind)
    shares = (worked >= ENOUGH_LEADS) @ share_of_kind
    return sorted((Support(*row) for row in zip(rep_ids, shares.tolist(), strict=True)), key=lambda row: row.share)
