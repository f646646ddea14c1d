"""How every rep stood at each moment asked for: load, track record and promptness, from what was known by then."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Past:
    """Assignments of the past, one entry each, in any order. Moments in days; NaN: not (yet), or not known."""

    rep: np.ndarray  # int (k,)
    assigned_days: np.ndarray  # (k,)
    ended_days: np.ndarray  # (k,) when it was closed or taken away
    known_days: np.ndarray  # (k,) when its outcome was known
    won: np.ndarray  # bool (k,)
    contacted_days: np.ndarray  # (k,)


@dataclass(frozen=True)
class Standing:
    """Of each rep at each moment, shape (n_moments, n_reps); nothing that happened at the moment itself counts."""

    open_leads: np.ndarray  # int
    today: np.ndarray  # int, leads given since midnight
    won: np.ndarray  # int, of the closed ones
    closed: np.ndarray  # int
    response_hours: np.ndarray  # geometric mean until the first contact; NaN where none was made


def standing(past: Past, at_days: np.ndarray, n_reps: int, *, midnight_days: np.ndarray) -> Standing:
    """How all reps stood at the moments `at_days`, (n,); `midnight_days` : (n,), when each moment's day began."""
    shape = (len(at_days), n_reps)
    counts = {name: np.zeros(shape, dtype=np.int32) for name in ("open_leads", "today", "won", "closed")}
    hours = np.full(shape, np.nan, dtype=np.float32)
    for rep in range(n_reps):
        own = past.rep == rep
        begun, ended = past.assigned_days[own], past.ended_days[own]
        given = _before(begun, at_days)
        counts["open_leads"][:, rep] = given - _before(ended, at_days)
        counts["today"][:, rep] = given - _before(begun, midnight_days)
        counts["closed"][:, rep] = _before(past.known_days[own], at_days)
        counts["won"][:, rep] = _before(past.known_days[own & past.won], at_days)
        hours[:, rep] = _mean_hours(begun, past.contacted_days[own], at_days)
    return Standing(**counts, response_hours=hours)


def _before(moments: np.ndarray, at_days: np.ndarray) -> np.ndarray:
    """How many of the moments lie before each of `at_days`; NaN never does."""
    return np.searchsorted(np.sort(moments), at_days, side="left")  # NaN sorts last


def _mean_hours(begun: np.ndarray, contacted: np.ndarray, at_days: np.ndarray) -> np.ndarray:
    made = ~np.isnan(contacted)
    order = np.argsort(contacted[made])
    log_hours = np.log(np.maximum((contacted - begun)[made] * 24, 1e-3))[order]
    so_far = np.concatenate([[0.0], np.cumsum(log_hours)])
    n = _before(contacted, at_days)
    return np.where(n > 0, np.exp(so_far[n] / np.maximum(n, 1)), np.nan)
