"""The draw: which arm a lead belongs to, the chances that are logged, and the rep who is drawn."""

import hashlib

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def fraction(*parts: str | int) -> float:
    """A number in [0, 1) that depends on `parts` alone: as good as random, and the same wherever it is asked."""
    # Each part is preceded by its length: ("ab", "c") and ("a", "bc") are different questions.
    text = "".join(f"{len(str(part))}:{part}" for part in parts)
    first = int.from_bytes(hashlib.sha256(text.encode("utf-8")).digest()[:8], "big")
    return (first >> 11) / 2**53  # 53 bits: every value is exact in float64


def seed_of(*parts: str | int) -> int:
    """A seed in [0, 2**53), which depends on `parts` alone."""
    return int(fraction("seed", *parts) * 2**53)


def in_holdout(lead_id: str, *, seed: int, share: float) -> bool:
    """Whether the lead is left to the control: a property of its id, the same at every visit."""
    return fraction("arm", seed, lead_id) < share


def mixture(control: Floats, policy: Floats, share: float) -> Floats:
    """The chance of each rep before the arm was known: `share` to the control, the rest to the policy."""
    return share * control + (1 - share) * policy


def drawn(propensities: Floats, point: float) -> int:
    """Index of the rep whose stretch of the cumulated propensities holds `point` in [0, 1)."""
    total = propensities.cumsum()
    if not total[-1] > 0:
        raise ValueError("Nobody to draw from: every propensity is 0. Check that a rep is available first.")
    place = int(total.searchsorted(point * total[-1], side="right"))
    # Rounding may put the point on the very end; the last rep with a chance is meant then.
    return place if place < len(total) else int(np.flatnonzero(propensities)[-1])
