"""What was going on at the moment of each assignment: the rep's load, as known then."""

import numpy as np

LOAD_CLIP = 3.0  # three times the usual load and more count alike


def open_leads(rep: np.ndarray, assigned_days: np.ndarray, ended_days: np.ndarray) -> np.ndarray:
    """Open leads of the rep just before each assignment, shape (n,).

    rep : (n,) rep of each spell; assigned_days, ended_days : when the spell began and ended (NaN: still open).
    Spells that begin at the very same moment do not count each other.
    """
    counts = np.zeros(len(rep))
    order = np.argsort(rep, kind="stable")
    for rows in np.split(order, np.flatnonzero(np.diff(rep[order])) + 1):  # each rep's rows, looked at once
        begun, ended = np.sort(assigned_days[rows]), np.sort(ended_days[rows])  # NaN sorts last
        at = assigned_days[rows]
        counts[rows] = np.searchsorted(begun, at, side="left") - np.searchsorted(ended, at, side="left")
    return counts


def relative_load(rep: np.ndarray, assigned_days: np.ndarray, ended_days: np.ndarray) -> np.ndarray:
    """How much fuller the rep was than the floor's usual load at that time: 0 usual, 1 twice as full, shape (n,).

    The usual load is the mean of `open_leads` over the assignments of the same 30 days, so that a growing
    floor does not read as fatigue; where it is below one lead, the difference is counted in leads. It is used
    when fitting; a prediction is made at the usual load.
    """
    counts = open_leads(rep, assigned_days, ended_days)
    block = np.floor((assigned_days - np.nanmin(assigned_days)) / 30.0).astype(np.intp) if len(rep) else rep
    usual = np.bincount(block, weights=counts) / np.maximum(np.bincount(block), 1)
    return np.clip((counts - usual[block]) / np.maximum(usual[block], 1.0), -1.0, LOAD_CLIP)
