"""What the floor of the prices costs: the same recent leads, given out with it and without it."""

from datetime import datetime
from typing import Any

import numpy as np

from serving.policy.exploration import EARN, Floats, smoothed
from serving.policy.price_book import ENOUGH, Standing, prices_now, relaxed_floors
from serving.reports.view import nothing, told
from training.intervals import mean


def floor_price(standing: Standing, *, at: datetime) -> dict[str, Any]:
    """Conversions per lead that the floor costs, by the model's own probabilities, with its interval over the leads.

    And for whom it is relaxed now, because she has fewer free slots than it promises her.
    """
    rules = standing.rules
    if not rules.enabled or rules.floor == 0:
        return nothing("the rule book has no floor")
    if len(standing.seen) < ENOUGH:
        return nothing(f"the model has scored fewer than {ENOUGH} leads")
    without = rules.model_copy(update={"floor": 0.0})
    values = []
    for each in (without, rules):
        prices = prices_now(standing.seen, standing.reps, standing.loads, each, standing.pace, at=at)
        values.append(np.array([_expected(lead.rep_ids, lead.probability, prices) for lead in standing.seen]))
    short = relaxed_floors(standing.seen, standing.reps, standing.loads, rules, standing.pace, at=at)
    return {
        **told(mean(values[0] - values[1])),
        "leads": len(standing.seen),
        "label": "by the model's probabilities",
        "relaxed": [{"rep_id": rep_id, "promised": floor, "room_for": room} for rep_id, (floor, room) in short.items()],
    }


def _expected(rep_ids: tuple[str, ...], probability: Floats, prices: dict[str, float]) -> float:
    own = np.array([prices.get(rep_id, 0.0) for rep_id in rep_ids])
    return float(smoothed(probability, own, np.ones(len(own), dtype=bool), EARN) @ probability)
