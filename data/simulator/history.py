"""How the floor used to assign its leads: by region, in turn, and by a manager's eye for leads and stars."""

from dataclasses import dataclass

import numpy as np

from data.simulator.reps import Staff

REASONS = ("rule", "rotation", "manual")
REASON_SHARES = (0.40, 0.25, 0.35)
STARS = 1.3  # how strongly good-looking leads go to reputed reps
OVERLOAD = 1.5  # how strongly a manager spares a rep above the usual load
LOAD_MEMORY = 0.8


@dataclass(frozen=True)
class Past:
    """Who got each lead, why, and what nobody wrote down: the chance of it and the rep's load, all (n,)."""

    rep: np.ndarray
    reason: np.ndarray  # position in REASONS
    propensity: np.ndarray
    load: np.ndarray


def assign_as_before(
    rng: np.random.Generator, staff: Staff, *, region: np.ndarray, grade: np.ndarray, assigned_days: np.ndarray
) -> Past:
    """The old ways, one turn of the floor after another: each turn has as many leads as there are seats."""
    n, seats = len(region), staff.seats
    sitting = staff.occupants(assigned_days)
    reason = rng.choice(len(REASONS), n, p=REASON_SHARES)
    draw = rng.random(n)
    load = np.ones(seats)
    chosen, chance, felt = np.empty(n, dtype=np.intp), np.empty(n), np.empty(n)
    for first in range(0, n, seats):
        rows = slice(first, min(first + seats, n))
        shares = _shares(staff, region[rows], grade[rows], staff.perceived[sitting[rows]], load)
        turn = np.arange(shares.shape[1])
        cumulative = np.cumsum(shares[reason[rows], turn], axis=1)
        seat = (cumulative <= draw[rows, None] * cumulative[:, -1:]).sum(axis=1)
        chosen[rows], felt[rows] = sitting[rows][turn, seat], load[seat]
        chance[rows] = np.einsum("k,kn->n", REASON_SHARES, shares[:, turn, seat])
        counts = np.bincount(seat, minlength=seats)
        load = LOAD_MEMORY * load + (1 - LOAD_MEMORY) * counts * seats / len(turn)
    return Past(chosen, reason, chance, felt)


def _shares(
    staff: Staff, region: np.ndarray, grade: np.ndarray, perceived: np.ndarray, load: np.ndarray
) -> np.ndarray:
    """Each seat's chance of each lead under each of REASONS, shape (3, n, seats)."""
    covers = staff.covers[:, region].T
    at_home = (staff.home == region[:, None]) & covers
    rotation = covers / covers.sum(axis=1, keepdims=True)
    homes = at_home.sum(axis=1, keepdims=True)
    rule = np.where(homes > 0, at_home / np.maximum(homes, 1), rotation)
    appeal = STARS * grade[:, None] * perceived - OVERLOAD * np.maximum(load - 1, 0)
    weight = np.where(covers, np.exp(appeal - appeal.max(axis=1, keepdims=True)), 0.0)
    return np.stack([rule, rotation, weight / weight.sum(axis=1, keepdims=True)])
