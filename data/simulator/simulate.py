"""Drawing a world from its seed."""

from datetime import UTC, datetime

import numpy as np
import pandas as pd

from data.simulator.history import REASONS, Past, assign_as_before
from data.simulator.leads import Market, Traits, arrivals, draw_market, grade, lead_logit, tastes
from data.simulator.outcomes import draw_ends, draw_outcomes, draw_response_hours
from data.simulator.reps import Staff, draw_staff, rep_logit
from data.simulator.tables import assignments_table, rep_ids, reps_table, to_days
from data.simulator.world import HIDDEN_GRADE, Truth, World, leads_table, sigmoid, wait_days

EXPORTED_AT = datetime(2026, 7, 1, tzinfo=UTC)
STREAMS = 6  # random streams of a world, so that one part can change without the others


def simulate(
    *,
    leads: int = 20_000,
    reps: int = 40,
    seed: int = 7,
    days: int = 540,
    effect: float = 0.5,
    perceived_correlation: float = 0.45,
    hidden_grade: float = 0.6,
    log_reasons: bool = True,
    delay_days_median: float = 18.0,
    drift: float = 0.25,
    exported_at: datetime = EXPORTED_AT,
) -> World:
    """A floor of `reps` seats that was given `leads` leads over the `days` before `exported_at`.

    effect : scales all that reps do to a lead's chance; 0 is a world where reps do not matter.
    perceived_correlation : of a rep's reputation, by which managers hand out leads, with skill.
    hidden_grade : log-odds per standard deviation of what managers saw in a lead and nobody recorded.
    log_reasons : whether `assigned_by` says why a rep got the lead; otherwise it is `unknown`.
    delay_days_median : from assignment to a win; drift : log-odds a year.
    Raises ValueError where an argument is out of its range.
    """
    if min(leads, reps, days) < 1 or delay_days_median <= 0 or effect < 0 or not 0 <= perceived_correlation <= 1:
        raise ValueError(
            "Expected leads, reps and days of at least 1, a positive delay, an effect of at least 0 and a "
            f"perceived_correlation in [0, 1]; got {leads}, {reps}, {days}, {delay_days_median}, {effect}, "
            f"{perceived_correlation}."
        )
    streams = [np.random.default_rng([seed, stream]) for stream in range(STREAMS)]
    start_days = to_days(exported_at) - days
    market = draw_market(streams[0], start_days=start_days, drift=drift, hidden_grade=hidden_grade)
    staff = draw_staff(
        streams[1],
        seats=reps,
        start_days=start_days,
        days=days,
        effect=effect,
        perceived_correlation=perceived_correlation,
    )
    arrived = arrivals(streams[2], leads, start_days, days)
    lead_table, traits = leads_table(streams[2], market, arrived, prefix="L", first=1)
    assigned = arrived + wait_days(streams[3], leads)
    past = assign_as_before(
        streams[3], staff, region=traits.region, grade=grade(market, traits), assigned_days=assigned
    )
    hours = draw_response_hours(staff.response_hours[past.rep], streams[4])
    probability = _probability(market, staff, traits, past, hours)
    ends = draw_ends(
        draw_outcomes(probability, streams[4]),
        assigned_days=assigned,
        response_hours=hours,
        size=traits.size,
        delay_days_median=delay_days_median,
        rng=streams[4],
    )
    assignments = assignments_table(
        lead_id=lead_table["lead_id"].to_numpy(),
        rep_id=rep_ids(len(staff.seat))[past.rep],
        assigned_days=assigned,
        ends=ends,
        assigned_by=np.array(REASONS, dtype=object)[past.reason] if log_reasons else "unknown",
        exported_days=to_days(exported_at),
    )
    return World(
        leads=lead_table,
        reps=reps_table(streams[5], staff, leads_a_day=leads / days, delay_days_median=delay_days_median),
        assignments=assignments,
        truth=_truth(lead_table, traits, staff, past, probability, ends.won),
        exported_at=exported_at,
        seed=seed,
        delay_days_median=delay_days_median,
        market=market,
        staff=staff,
    )


def _probability(
    market: Market, staff: Staff, traits: Traits, past: Past, response_hours: np.ndarray
) -> np.ndarray:
    """Each lead's true chance with the rep who got it, at that rep's load and promptness of the day."""
    of_rep = rep_logit(
        staff,
        traits,
        tastes(market, traits),
        lead=np.arange(len(traits)),
        rep=past.rep,
        at_days=traits.arrived_days,
        load=past.load,
        response_hours=response_hours,
    )
    return sigmoid(lead_logit(market, traits, traits.arrived_days) + of_rep)


def _truth(
    leads: pd.DataFrame, traits: Traits, staff: Staff, past: Past, probability: np.ndarray, converted: np.ndarray
) -> Truth:
    names = rep_ids(len(staff.seat))
    return Truth(
        leads=pd.DataFrame({"lead_id": leads["lead_id"], HIDDEN_GRADE: traits.hidden}),
        reps=pd.DataFrame({"rep_id": names, "skill": staff.effect * staff.skill, "perceived": staff.perceived}),
        assignments=pd.DataFrame(
            {
                "lead_id": leads["lead_id"],
                "rep_id": names[past.rep],
                "probability": probability,
                "propensity": past.propensity,
                "load": past.load,
                "converted": converted,
            }
        ),
    )
