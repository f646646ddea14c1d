"""The simulated floor as a CRM would export it: leads, reps and assignments."""

from datetime import datetime

import numpy as np
import pandas as pd

from data.simulator.outcomes import Ends
from data.simulator.personal import people
from data.simulator.reps import Staff
from data.simulator.words import INDUSTRIES, LANGUAGES, LOST_REASONS, REGIONS

US_A_DAY = 86_400 * 10**6
MEAN_DAYS_OPEN_PER_MEDIAN = 1.7  # losses last longer than wins, and the mean of a lognormal is above its median


def instants(days: np.ndarray) -> pd.Series:
    """Days since 1970-01-01 UTC as datetime64[us, UTC], to the second; NaN and infinity as NaT."""
    known = np.isfinite(days)
    seconds = np.rint(np.where(known, days, 0.0) * 86_400).astype("int64")
    stamps = pd.Series(seconds * 10**6).astype("datetime64[us]").dt.tz_localize("UTC")
    return stamps.where(pd.Series(known))


def to_days(moment: datetime) -> float:
    """An aware datetime as days since 1970-01-01 UTC."""
    return moment.timestamp() / 86_400


def days_of(instants: pd.Series) -> np.ndarray:
    """The inverse of `instants`, NaN where missing."""
    stamps = instants.dt.tz_convert("UTC").dt.tz_localize(None).to_numpy(dtype="datetime64[us]")
    return np.where(np.isnat(stamps), np.nan, stamps.astype("int64") / US_A_DAY)


def rep_ids(n: int) -> np.ndarray:
    """R-001, R-002 ..., shape (n,)."""
    return np.array([f"R-{number:03d}" for number in range(1, n + 1)], dtype=object)


def reps_table(
    rng: np.random.Generator, staff: Staff, *, leads_a_day: float, delay_days_median: float
) -> pd.DataFrame:
    """Everybody who ever worked here, with the columns of the contract."""
    n = len(staff.seat)
    home = staff.home[staff.seat]
    names, _ = people(rng, n)
    a_day = leads_a_day / staff.seats
    usual_open = a_day * delay_days_median * MEAN_DAYS_OPEN_PER_MEDIAN
    capacity = np.maximum(5, np.rint(usual_open * rng.uniform(1.2, 1.8, n))).astype(int)
    return pd.DataFrame(
        {
            "rep_id": rep_ids(n),
            "name": names,
            "team": [f"{REGIONS[region]} team" for region in home],
            "region": np.array(REGIONS)[home],
            "regions": [_joined(REGIONS, staff.covers[seat]) for seat in staff.seat],
            "skills": [";".join(INDUSTRIES[i] for i in sorted(declared)) for declared in staff.declared],
            "languages": [_joined(LANGUAGES, speaks) for speaks in staff.speaks],
            "hired_at": instants(staff.hired_days),
            "left_at": instants(staff.left_days),
            "active": np.isinf(staff.left_days),
            "capacity": capacity,
            "daily_limit": max(25, int(np.ceil(6 * a_day))),
            "time_zone": "Asia/Shanghai",
        }
    )


def _joined(words: tuple[str, ...], chosen: np.ndarray) -> str:
    return ";".join(word for word, has in zip(words, chosen, strict=True) if has)


def assignments_table(
    *,
    lead_id: np.ndarray,
    rep_id: np.ndarray,
    assigned_days: np.ndarray,
    ends: Ends,
    assigned_by: np.ndarray | str,
    exported_days: float = np.inf,
    policy: str | None = None,
    propensity: np.ndarray | float = np.nan,
) -> pd.DataFrame:
    """Assignments as they stand at the export: what has not shown by then is open and unknown."""
    shown = ends.closed_days <= exported_days
    contacted = ends.contacted_days <= exported_days
    lost_reason = np.array([*LOST_REASONS, None], dtype=object)[ends.lost_reason]  # -1, the last: won
    return pd.DataFrame(
        {
            "lead_id": lead_id,
            "rep_id": rep_id,
            "assigned_at": instants(assigned_days),
            "outcome": np.where(shown, np.where(ends.won, "won", "lost"), "open"),
            "closed_at": instants(np.where(shown, ends.closed_days, np.nan)),
            "first_contact_at": instants(np.where(contacted, ends.contacted_days, np.nan)),
            "value": np.where(shown & ends.won, ends.value, np.nan),
            "lost_reason": pd.Series(np.where(shown, lost_reason, None), dtype="str"),
            "assigned_by": assigned_by,
            "policy": pd.Series([policy] * len(lead_id), dtype="str"),
            "propensity": propensity,
        }
    )
