"""Do leads still look as they did in training? A stability index for each feature, beside what chance alone gives.

PSI = sum over bins of (p - q) ln(p / q), q the training window's shares and p those seen now. Were both samples of one
population, PSI times n m / (n + m) would follow a chi-square with one degree of freedom less than bins: an index is
worth an alarm only where it is large and that is not how chance looks.
Source: Yurdakul & Naranjo (2020), Statistical properties of the population stability index, doi:10.21314/JRMV.2020.227.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import chi2

from features.columns import ColumnContract

BINS = 10
LEAST_SHARE = 0.01  # of the training rows: rarer levels are one bin, for the index explodes where nothing is expected
SHIFTED, SURE = 0.2, 0.001  # an index that is worth a look, and the chance of one so large by accident
CLOCK = "created_at:"  # hour and weekday change with the month that is looked at


@dataclass(frozen=True)
class Drift:
    """How far one feature has moved."""

    feature: str
    index: float
    noise: float  # the index that chance alone gives on average, at these numbers of rows
    by_chance: float  # of an index at least so large, were nothing changed
    shifted: bool


def profile(contract: ColumnContract, leads: np.ndarray) -> dict[str, Any]:
    """The training window's shares by feature, as plain values to be saved with the model."""
    made = {}
    for place, feature in enumerate(contract.features):
        if feature.name.startswith(CLOCK):
            continue
        values = leads[:, place]
        edges = _edges(values, categorical=feature.kind == "category")
        made[feature.name] = {"edges": edges, "rows": _binned(values, edges).tolist()}
    return made


def drift(known: Mapping[str, Any], contract: ColumnContract, leads: np.ndarray) -> list[Drift]:
    """Each feature's index on leads seen now, the largest first. known : from `profile`, of the same contract."""
    found = []
    for place, feature in enumerate(contract.features):
        if feature.name in known:
            then = np.array(known[feature.name]["rows"], dtype=float)
            now = _binned(leads[:, place], known[feature.name]["edges"])
            found.append(_compare(feature.name, then, now))
    return sorted(found, key=lambda one: -one.index)


def _compare(feature: str, then: np.ndarray, now: np.ndarray) -> Drift:
    used = (then + now) > 0
    then, now, bins = then[used], now[used], int(used.sum())
    n, m = now.sum(), then.sum()
    # Half a row in each bin: none of the shares is 0 then.
    p, q = (now + 0.5) / (n + 0.5 * bins), (then + 0.5) / (m + 0.5 * bins)
    index = float(np.sum((p - q) * np.log(p / q)))
    by_chance = float(chi2.sf(index * n * m / (n + m), bins - 1)) if bins > 1 else 1.0
    noise = float((bins - 1) * (1 / n + 1 / m))
    return Drift(feature, index, noise, by_chance, index > SHIFTED and by_chance < SURE)


def _edges(values: np.ndarray, *, categorical: bool) -> list[float]:
    """Where one bin ends and the next begins; for a category each common level is a bin, and all others are one."""
    known = values[~np.isnan(values)]
    if categorical:
        level, rows = np.unique(known, return_counts=True)
        common = level[rows >= LEAST_SHARE * len(values)]
        return [edge for one in common for edge in (one - 0.5, one + 0.5)]
    quantiles = np.quantile(known, np.arange(1, BINS) / BINS) if len(known) else np.empty(0)
    return np.unique(quantiles).tolist()


def _binned(values: np.ndarray, edges: list[float]) -> np.ndarray:
    """Rows in each bin, missing last. Between two levels of a category lies a bin that pools what is rare."""
    known = values[~np.isnan(values)]
    place = np.searchsorted(np.unique(edges), known, side="right")
    rows = np.bincount(place, minlength=len(np.unique(edges)) + 1).astype(float)
    return np.append(rows, len(values) - len(known))
