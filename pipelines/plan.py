"""`leadmatch plan`: how long a randomised trial must run to show a given lift."""

from dataclasses import asdict
from typing import Any

from data.errors import InputError
from training.trial import POWER, SHARES, SIGNIFICANCE, plan

LEAST_POINTS = 0.1  # a smaller --lift is taken for a probability: .02 is 2 points
REPLAY = (
    "These are for the plain holdout. A doubly robust estimate over all logged leads needs no more leads than it "
    "gets: on simulated floors its standard error was some seven times smaller (leadmatch evaluate)."
)


def plan_trial(
    *, leads_per_month: float, rate: float, lift_points: float, shares: tuple[float, ...] = SHARES
) -> dict[str, Any]:
    """The object of `plan --json`: leads and months for each share of held-out leads.

    rate : conversions per lead today, as a probability or, above 1, in per cent; lift_points : what is to be
    found, in percentage points, or below .1 as a probability. Both are given back as they were understood.
    Raises InputError for figures no trial can be planned for.
    """
    chance = rate / 100 if rate > 1 else rate
    difference = lift_points / 100 if abs(lift_points) >= LEAST_POINTS else lift_points
    try:
        made = [
            plan(leads_per_month=leads_per_month, rate=chance, lift=difference, share=share) for share in shares
        ]
    except ValueError as error:
        raise InputError(f"plan: {error}") from error
    return {
        "leads_per_month": leads_per_month,
        "rate": chance,
        "lift_points": 100 * difference,
        "relative_lift": difference / chance,
        "power": POWER,
        "significance": SIGNIFICANCE,
        "shares": [asdict(each) for each in made],
        "note": REPLAY,
    }
