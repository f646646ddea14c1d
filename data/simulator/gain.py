"""How much of the gain that was there to be had a set of scores would have earned, by the truth."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.optimize import linear_sum_assignment

from data.simulator.world import World

NOT_ALLOWED = 1e3  # a cost that no sum of probabilities outweighs


@dataclass(frozen=True)
class Gain:
    """Conversions per lead under three policies, by the true probabilities."""

    rotation: float
    policy: float
    oracle: float

    @property
    def share(self) -> float:
        """(policy - rotation) / (oracle - rotation): 1 is perfect, 0 no better than rotation."""
        return (self.policy - self.rotation) / (self.oracle - self.rotation)

    @property
    def possible(self) -> float:
        """What the oracle gains over rotation, relative to rotation."""
        return self.oracle / self.rotation - 1


def share_of_possible_gain(
    world: World, leads: pd.DataFrame, scores: np.ndarray, *, utilisation: float | None = 0.9
) -> float:
    """Share of the oracle's gain over rotation that scores earn on one batch of leads, by the world's truth.

    scores : (n_leads, n_reps) in the order of `world.rep_ids`; utilisation : of the reps' equal slots, or
    None where a rep may get any number of leads.
    """
    truth, eligible = world.probability(leads), world.eligible(leads)
    if utilisation is None:
        return unconstrained_gain(truth, scores, eligible).share
    return constrained_gain(truth, scores, eligible, utilisation=utilisation).share


def unconstrained_gain(truth: np.ndarray, scores: np.ndarray, eligible: np.ndarray) -> Gain:
    """Gain of giving each lead to its best-scored eligible rep, however many that rep gets. All (n_leads, n_reps)."""
    row = np.arange(len(truth))

    def value(by: np.ndarray) -> float:
        return float(truth[row, np.argmax(np.where(eligible, by, -np.inf), axis=1)].mean())

    return Gain(rotation_value(truth, eligible), value(scores), value(truth))


def constrained_gain(
    truth: np.ndarray, scores: np.ndarray, eligible: np.ndarray, *, utilisation: float = 0.9
) -> Gain:
    """Gain of the best joint assignment of one batch when the reps' equal slots are `utilisation` full."""
    slots = equal_slots(len(truth), truth.shape[1], utilisation)
    return Gain(
        rotation_value(truth, eligible),
        float(truth[assign_jointly(scores, eligible, slots)].sum() / len(truth)),
        float(truth[assign_jointly(truth, eligible, slots)].sum() / len(truth)),
    )


def rotation_value(truth: np.ndarray, eligible: np.ndarray) -> float:
    """Conversions per lead when each eligible rep is equally likely to get it."""
    return float((np.where(eligible, truth, 0.0).sum(axis=1) / eligible.sum(axis=1)).mean())


def equal_slots(n_leads: int, n_reps: int, utilisation: float) -> np.ndarray:
    """Slots of each rep, as equal as whole numbers can be, so that n_leads fill `utilisation` of them."""
    total = round(n_leads / utilisation)
    return total // n_reps + (np.arange(n_reps) < total % n_reps)


def assign_jointly(scores: np.ndarray, eligible: np.ndarray, slots: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(leads, reps) of the assignment with the largest sum of scores within the slots.

    Leads that no eligible slot is left for are in neither array.
    """
    rep_of_slot = np.repeat(np.arange(len(slots)), slots)
    cost = np.where(eligible, -scores, NOT_ALLOWED)[:, rep_of_slot]
    lead, slot = linear_sum_assignment(cost)
    rep = rep_of_slot[slot]
    allowed = eligible[lead, rep]
    return lead[allowed], rep[allowed]
