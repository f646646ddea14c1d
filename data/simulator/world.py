"""A sales floor whose truth is known: its history as a CRM would export it, and every probability behind it."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd

from data.simulator.leads import Market, Traits, arrivals, draw_leads, lead_logit, tastes, traits_of
from data.simulator.outcomes import draw_ends, draw_outcomes, draw_response_hours
from data.simulator.personal import personal_columns
from data.simulator.reps import Staff, rep_logit
from data.simulator.tables import assignments_table, days_of, instants, to_days
from data.simulator.words import REGIONS

TEST_DAYS = 30
MINUTES_TO_ASSIGN = 10.0  # median, from arrival to assignment
HIDDEN_GRADE = "hidden_grade"
DESCRIBED = {"time_zone": "Asia/Shanghai", "currency": "CNY", "target": "won"}  # as no import leaves it
FRESH, LOGGED = 1_000_003, 2_000_003  # keep the random streams of one world apart


@dataclass(frozen=True)
class Truth:
    """What no CRM knows; tables keyed as the contract's."""

    leads: pd.DataFrame  # lead_id, hidden_grade (standard normal)
    reps: pd.DataFrame  # rep_id, skill (log-odds), perceived (standard normal)
    assignments: pd.DataFrame  # lead_id, rep_id, probability, propensity, load (1 is usual), converted (in the end)


@dataclass(frozen=True)
class World:
    """The floor at the end of its history. `leads`, `reps` and `assignments` are the contract's tables."""

    leads: pd.DataFrame
    reps: pd.DataFrame
    assignments: pd.DataFrame
    truth: Truth
    exported_at: datetime
    seed: int
    delay_days_median: float
    market: Market = field(repr=False)
    staff: Staff = field(repr=False)

    @property
    def rep_ids(self) -> tuple[str, ...]:
        """The reps who work here now: the columns of `probability` and `eligible`, in order."""
        return tuple(self.reps["rep_id"].to_numpy()[self.staff.current])

    def description(self) -> dict[str, Any]:
        """What belongs in dataset.yaml."""
        return {"exported_at": self.exported_at.isoformat(), **DESCRIBED}

    def probability(self, leads: pd.DataFrame, at: datetime | None = None) -> np.ndarray:
        """True P(convert) of each lead with each current rep at the usual load, shape (n_leads, n_reps).

        leads : rows of `World.leads` or of `fresh_leads`; a column `hidden_grade` is believed, otherwise
            the grade is looked up by lead_id.
        at : the moment of assignment; each lead's arrival if not given.
        """
        traits = self._traits(leads)
        at_days = traits.arrived_days if at is None else np.full(len(leads), to_days(at))
        lead, rep = np.arange(len(leads))[:, None], self.staff.current[None, :]
        of_rep = rep_logit(self.staff, traits, tastes(self.market, traits), lead=lead, rep=rep, at_days=at_days)
        return sigmoid(lead_logit(self.market, traits, at_days)[:, None] + of_rep)

    def eligible(self, leads: pd.DataFrame) -> np.ndarray:
        """Whether each current rep covers each lead's region, bool, shape (n_leads, n_reps)."""
        place = {name: code for code, name in enumerate(REGIONS)}
        covers = self.staff.covers[self.staff.seat[self.staff.current]]
        return covers[:, [place[region] for region in leads["region"]]].T

    def fresh_leads(self, n: int, seed: int) -> pd.DataFrame:
        """Leads of the month after the history's end: `World.leads`'s columns, and `hidden_grade` beside them."""
        rng = np.random.default_rng([self.seed, FRESH, seed])
        arrived = arrivals(rng, n, to_days(self.exported_at) + 1, TEST_DAYS)
        table, traits = leads_table(rng, self.market, arrived, prefix=f"N{seed}", first=len(self.leads) + 1)
        return table.assign(**{HIDDEN_GRADE: traits.hidden})

    def log(self, leads: pd.DataFrame, propensity: np.ndarray, *, seed: int, policy: str = "logged") -> pd.DataFrame:
        """Assignments drawn from given propensities, with their final outcomes, as the contract's table.

        leads : from `fresh_leads`; propensity : (n_leads, n_reps) over the current reps, each row sums to 1.
        """
        rng = np.random.default_rng([self.seed, LOGGED, seed])
        row, cumulative = np.arange(len(leads)), np.cumsum(propensity, axis=1)
        chosen = (cumulative <= rng.random((len(leads), 1)) * cumulative[:, -1:]).sum(axis=1)
        traits = self._traits(leads)
        assigned = traits.arrived_days + wait_days(rng, len(leads))
        ends = draw_ends(
            draw_outcomes(self.probability(leads)[row, chosen], rng),
            assigned_days=assigned,
            response_hours=draw_response_hours(self.staff.response_hours[self.staff.current[chosen]], rng),
            size=traits.size,
            delay_days_median=self.delay_days_median,
            rng=rng,
        )
        return assignments_table(
            lead_id=leads["lead_id"].to_numpy(),
            rep_id=np.array(self.rep_ids, dtype=object)[chosen],
            assigned_days=assigned,
            ends=ends,
            assigned_by="model",
            policy=policy,
            propensity=propensity[row, chosen],
        )

    def _traits(self, leads: pd.DataFrame) -> Traits:
        if HIDDEN_GRADE in leads:
            hidden = leads[HIDDEN_GRADE]
        else:
            hidden = self.truth.leads.set_index("lead_id")[HIDDEN_GRADE].loc[leads["lead_id"].to_numpy()]
        return traits_of(leads, days_of(leads["created_at"]), hidden.to_numpy(dtype=float))


def leads_table(
    rng: np.random.Generator, market: Market, arrived_days: np.ndarray, *, prefix: str, first: int
) -> tuple[pd.DataFrame, Traits]:
    """The contract's leads table for given arrivals, and the truth's view of it; serial numbers from `first`."""
    traits, attributes = draw_leads(rng, market, arrived_days)
    serial = np.arange(first, first + len(arrived_days))
    own = personal_columns(
        rng, serial=serial, region=traits.region, industry=traits.industry, free_email=traits.free_email
    )
    key = pd.DataFrame({"lead_id": [f"{prefix}-{n:06d}" for n in serial], "created_at": instants(arrived_days)})
    return pd.concat([key, own, attributes], axis=1), traits


def wait_days(rng: np.random.Generator, n: int) -> np.ndarray:
    """From arrival to assignment: minutes, and now and then an hour."""
    return MINUTES_TO_ASSIGN / 1440 * np.exp(rng.normal(0, 0.8, n))


def sigmoid(logit: np.ndarray) -> np.ndarray:
    """The probability of given log-odds."""
    return 1 / (1 + np.exp(-logit))
