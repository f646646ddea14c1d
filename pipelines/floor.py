"""A data set as the floor stood at each lead: who could have got it, how full and how good everybody was by then."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd

from data.dataset import Dataset
from data.intake.moments import days
from data.roster import Rep
from features.pairs import RepMatches, find_pairs
from features.spells import CONVERTED, Spells
from features.standing import Past, Standing, standing
from pipelines.prepare import Prepared

RULE_LIKE = 0.99  # share of the rows that keep to what is then taken for a hard rule
LIMITS = "below capacity and daily limit"
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Floor:
    """The judged leads in time order, and the reps who take leads at all; matrices are (n_leads, n_reps)."""

    spells: Spells  # `rep` counts in `reps`
    reps: tuple[Rep, ...]
    leads: list[Mapping[str, Any]]  # what the CRM says of each lead, without personal data
    available: np.ndarray  # bool: employed, within the hard rules that the rows keep to, below every limit
    standing: Standing
    open_days: float | None  # how long a lead usually stays open; None where nothing says so
    rules: tuple[str, ...]  # the hard rules found, by name

    def __len__(self) -> int:
        return len(self.spells)

    def take(self, rows: np.ndarray) -> "Floor":
        """The same at only the rows given, positions in this one."""
        stood = Standing(**{name: values[rows] for name, values in vars(self.standing).items()})
        return replace(
            self,
            spells=self.spells.take(rows),
            leads=[self.leads[row] for row in rows],
            available=self.available[rows],
            standing=stood,
        )

    def at(self, row: int) -> datetime:
        """The moment of a row; without dates, as many days after 1970 as its rank."""
        return EPOCH + timedelta(days=float(self.spells.at_days[row]))


def lay_out(prepared: Prepared, rows: np.ndarray) -> Floor:
    """The floor at the given mature spells (positions in `prepared.spells`)."""
    dataset = prepared.dataset
    places = np.flatnonzero(prepared.spells.labels.mature)[rows]  # in the assignments
    roster = dataset.roster()
    owners = reps_of(dataset, roster)
    taking = np.unique(owners)
    renumbered = np.full(len(roster), -1)
    renumbered[taking] = np.arange(len(taking))
    picked = prepared.spells.take(rows)
    reps = tuple(roster[place] for place in taking)
    spells = replace(picked, rep=renumbered[picked.rep], reps=reps)
    past = past_of(dataset, renumbered[owners])
    stood = standing(past, spells.at_days, len(reps), midnight_days=midnights(dataset, places))
    available, rules = available_reps(prepared, spells, past, stood)
    open_for = past.ended_days - past.assigned_days
    known = open_for[open_for > 0]
    return Floor(
        spells=spells,
        reps=reps,
        leads=lead_records(dataset, places),
        available=available,
        standing=stood,
        open_days=float(known.mean()) if dataset.dated and len(known) else None,
        rules=rules,
    )


def reps_of(dataset: Dataset, roster: tuple[Rep, ...]) -> np.ndarray:
    """Position in the roster of each assignment's rep, (n_assignments,)."""
    place = {rep.rep_id: i for i, rep in enumerate(roster)}
    return np.array([place[rep_id] for rep_id in dataset.assignments["rep_id"]], dtype=np.intp)


def past_of(dataset: Dataset, rep: np.ndarray) -> Past:
    """Every assignment there is, young ones included: what load and records are counted from."""
    table = dataset.assignments
    assigned, closed = table["at_days"].to_numpy(dtype=float), table["closed_days"].to_numpy(dtype=float)
    taken = table.groupby("lead_id", sort=False)["at_days"].shift(-1).to_numpy(dtype=float)
    outcome = table["outcome"].to_numpy(dtype=object)
    settled = ~np.isin(outcome, ["open", "unknown"])
    # Where no row says when it was closed, outcomes were known at once.
    at_once = np.isnan(closed).all()
    known = np.where(settled, assigned if at_once else closed, np.nan)
    return Past(
        rep=rep,
        assigned_days=assigned,
        ended_days=assigned if at_once else np.fmin(closed, taken),
        known_days=known,
        won=np.isin(outcome, CONVERTED[dataset.description.target]),
        contacted_days=days(table["first_contact_at"]) if dataset.dated else np.full(len(table), np.nan),
    )


def midnights(dataset: Dataset, places: np.ndarray) -> np.ndarray:
    """When the day of each assignment began in the data's time zone, in days; the moment itself without dates."""
    table = dataset.assignments.iloc[places]
    if not dataset.dated:
        return table["at_days"].to_numpy(dtype=float)
    local = table["assigned_at"].dt.tz_convert(dataset.description.zone)
    clock = local.dt.hour + local.dt.minute / 60 + local.dt.second / 3600 + local.dt.microsecond / 3.6e9
    return table["at_days"].to_numpy(dtype=float) - clock.to_numpy(dtype=float) / 24


def lead_records(dataset: Dataset, places: np.ndarray) -> list[Mapping[str, Any]]:
    """What is known of each assignment's lead, as a mapping; personal data and ids are left out."""
    left_out = {"lead_id", "customer_id", "created_at", "at_days", *dataset.personal_columns}
    table = dataset.leads[[name for name in dataset.leads if name not in left_out]]
    rows = pd.Index(dataset.leads["lead_id"]).get_indexer(dataset.assignments["lead_id"].iloc[places])
    return [dict(record) for record in table.iloc[rows].to_dict("records")]


def available_reps(
    prepared: Prepared, spells: Spells, past: Past, stood: Standing
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Who could have got each lead, bool (n, n_reps), and the names of the hard rules that this rests on.

    A rule is hard where at least 99 % of the rows keep to it: a match such as the lead's region among the rep's,
    and the reps' own limits. Where nobody is left, everybody who works here could have got the lead.
    """
    chosen = (np.arange(len(spells)), spells.rep)
    employed = employed_reps(prepared.dataset, spells, past)
    contract = prepared.contract
    design = find_pairs(contract, spells.reps)
    matches = RepMatches(design, contract, spells.reps)
    allowed, found = employed.copy(), []
    for number, match in enumerate(design.matches):
        silent = np.array([not spells.reps[i].value(match.rep_column) for i in range(len(spells.reps))])
        fits = (matches.matched(spells.leads, number) > 0) | silent
        fits |= ~(fits & employed).any(axis=1, keepdims=True)  # a lead that says nothing here suits everybody
        if fits[chosen].mean() >= RULE_LIKE and not fits[employed].all():
            allowed &= fits
            found.append(f"{match.lead_column} of the lead among {match.rep_column} of the rep")
    room = below_limits(spells.reps, stood)
    if not given_by_rotation(spells, allowed) and room[chosen].mean() >= RULE_LIKE and not room[employed].all():
        allowed &= room
        found.append(LIMITS)
    nobody = ~allowed.any(axis=1)
    allowed[nobody] = employed[nobody]
    return allowed, tuple(found)


def given_by_rotation(spells: Spells, available: np.ndarray) -> bool:
    """Whether every row logged just rotation's propensity over these reps, so that the whole vector is known."""
    rotation = 1 / np.maximum(available.sum(axis=1), 1)
    chosen = available[np.arange(len(spells)), spells.rep]
    return bool(np.all(chosen & np.isclose(spells.propensity, rotation, rtol=1e-6)))


def employed_reps(dataset: Dataset, spells: Spells, past: Past) -> np.ndarray:
    """Who worked here at each moment, bool (n, n_reps): from hiring to leaving as stated, and while getting leads."""
    if not dataset.dated:
        return np.ones((len(spells), len(spells.reps)), dtype=bool)
    begun, ended = np.full(len(spells.reps), -np.inf), np.full(len(spells.reps), np.inf)
    for place, rep in enumerate(spells.reps):
        own = past.assigned_days[past.rep == place]
        if rep.hired_at is not None:
            begun[place] = min(_days(rep.hired_at), own.min())
        if rep.left_at is not None:
            ended[place] = max(_days(rep.left_at), own.max())
        elif not rep.active:
            ended[place] = own.max()
    at = spells.at_days[:, None]
    employed = (begun <= at) & (at <= ended)
    employed[~employed.any(axis=1)] = True
    return employed


def below_limits(reps: tuple[Rep, ...], stood: Standing) -> np.ndarray:
    """Who was below capacity and daily limit at each moment, bool (n, n_reps)."""
    capacity = np.array([np.inf if rep.capacity is None else rep.capacity for rep in reps])
    daily = np.array([np.inf if rep.daily_limit is None else rep.daily_limit for rep in reps])
    elsewhere = np.array([rep.open_count for rep in reps])
    return (stood.open_leads + elsewhere < capacity) & (stood.today < daily)


def _days(at: datetime) -> float:
    return (at - EPOCH) / timedelta(days=1)
