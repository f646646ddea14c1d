"""A data set -> arrays, one row a spell: a lead in a rep's hands from one assignment to the next."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from data.dataset import Dataset
from data.roster import Rep
from features.columns import ColumnContract, Values
from features.history import relative_load
from features.labels import Clock, Labels, label

RANDOM = ("rotation", "rule", "model")  # nobody looked at this lead and picked this rep
BY_HAND = ("manual", "claim", "unknown")
CONVERTED = {"won": ("won",), "qualified": ("won", "qualified")}


ARRAYS = (
    "leads", "rep", "converted", "at_days", "by_hand", "assigned_by", "load", "propensity", "value", "closed",
)  # fmt: skip


@dataclass(frozen=True)
class Spells:
    """Mature spells in time order; every array has one entry a row."""

    leads: np.ndarray  # float (n, n_features), the encoded lead matrix
    rep: np.ndarray  # int (n,), position in `reps`; -1 where the data set has no reps
    converted: np.ndarray  # 0/1 (n,)
    at_days: np.ndarray  # float (n,)
    by_hand: np.ndarray  # bool (n,): a person chose, or nobody recorded why
    assigned_by: np.ndarray  # str (n,)
    load: np.ndarray  # float (n,), relative load of the rep at the assignment
    propensity: np.ndarray  # float (n,), NaN where it was not logged
    value: np.ndarray  # float (n,), value of a won lead, NaN elsewhere
    closed: np.ndarray  # bool (n,): has an outcome; an old lead may still stand open
    reps: tuple[Rep, ...]
    labels: Labels
    clock: Clock | None = None  # with `labels: expected`: when each outcome was known
    young: "Spells | None" = None  # and the rows too young for the window, all later; `converted` so far

    def __len__(self) -> int:
        return len(self.converted)

    def take(self, rows: np.ndarray) -> "Spells":
        """The same with only the rows given (bool mask or positions), and without the young ones."""
        clock = self.clock.take(rows) if self.clock else None
        return replace(self, **{name: getattr(self, name)[rows] for name in ARRAYS}, clock=clock, young=None)

    def with_young(self) -> "Spells":
        """Mature and young rows in one, in time order."""
        if self.young is None or self.clock is None or self.young.clock is None:
            return self
        both: dict[str, Any] = {
            name: np.concatenate([getattr(self, name), getattr(self.young, name)]) for name in ARRAYS
        }
        return replace(self, **both, clock=self.clock.join(self.young.clock), young=None)

    @property
    def reasons_logged(self) -> bool:
        """Whether any row says why its rep got it, and some rows say that no person chose."""
        return bool(np.any(~self.by_hand))


def outcomes_so_far(dataset: Dataset) -> np.ndarray:
    """1.0 converted, 0.0 not, NaN not known yet: for each row of `dataset.assignments`, shape (n,)."""
    outcome = dataset.assignments["outcome"]
    good = outcome.isin(CONVERTED[dataset.description.target])
    known = outcome.isin(("lost", "won", "qualified"))
    return np.where(good, 1.0, np.where(known, 0.0, np.nan))


def build_spells(dataset: Dataset, contract: ColumnContract) -> Spells:
    """The mature spells of a data set, encoded with `contract`, in time order."""
    table = dataset.assignments
    reps = dataset.roster()
    rep = pd.Index([rep.rep_id for rep in reps]).get_indexer(table["rep_id"])
    assigned = table["at_days"].to_numpy(dtype=float)
    ended = _taken_away(dataset)
    labels = _labels(dataset, assigned, ended)
    assigned_by = table["assigned_by"].to_numpy(dtype=object).astype(str)
    everything = Spells(
        leads=lead_matrix(dataset.leads, contract)[_lead_rows(dataset)],
        rep=rep,
        converted=labels.converted,
        at_days=assigned,
        by_hand=~np.isin(assigned_by, RANDOM),
        assigned_by=assigned_by,
        load=relative_load(rep, assigned, _work_ended(dataset, assigned, ended)),
        propensity=table["propensity"].to_numpy(dtype=float),
        value=table["value"].to_numpy(dtype=float),
        closed=~np.isnan(outcomes_so_far(dataset)),
        reps=reps,
        labels=labels,
        clock=_clock(dataset, assigned),
    )
    mature = everything.take(labels.mature)
    if dataset.description.labels == "window" or not labels.window_days:
        return replace(mature, clock=None)
    return replace(mature, young=everything.take(_too_young(dataset, everything, ended)))


def lead_matrix(leads: pd.DataFrame, contract: ColumnContract) -> np.ndarray:
    """The encoded matrix of a frame of leads, shape (n_leads, n_features)."""
    wanted = [column.name for column in contract.columns if column.name in leads]
    table = {name: _raw(leads[name]) for name in wanted}
    if "created_at" in leads:
        table["created_at"] = _raw(leads["created_at"])
    return contract.encode(table, len(leads))


def _raw(column: pd.Series) -> Values:
    if isinstance(column.dtype, pd.StringDtype):
        return column
    if isinstance(column.dtype, pd.DatetimeTZDtype):
        return column.dt.tz_convert("UTC").dt.tz_localize(None).to_numpy()
    return column.to_numpy() if column.dtype.kind in "fiubM" else column.to_numpy(dtype=object)


def _lead_rows(dataset: Dataset) -> np.ndarray:
    return pd.Index(dataset.leads["lead_id"]).get_indexer(dataset.assignments["lead_id"])


def _decided(dataset: Dataset) -> np.ndarray:
    """Whether a spell converted or was lost, bool (n,); a qualified lead that is to be won is still worked."""
    lost = dataset.assignments["outcome"].to_numpy(dtype=object) == "lost"
    return np.asarray(lost | (outcomes_so_far(dataset) == 1.0))


def _taken_away(dataset: Dataset) -> np.ndarray:
    """When the lead was given to somebody else before it was decided, in days; NaN where it was not, (n,)."""
    table = dataset.assignments
    following = table.groupby("lead_id", sort=False)["at_days"].shift(-1).to_numpy(dtype=float)
    decided_before = _decided(dataset) & (table["closed_days"].to_numpy(dtype=float) < following)
    return np.where(decided_before, np.nan, following)


def _work_ended(dataset: Dataset, assigned: np.ndarray, taken_away: np.ndarray) -> np.ndarray:
    """When the spell stopped being work for its rep, in days; NaN while it goes on, (n,).

    A spell that ended, nobody recorded when, is not counted as work at all: as open for ever, it would make
    the load a count of everything that the rep was ever given.
    """
    closed = np.where(_decided(dataset), dataset.assignments["closed_days"].to_numpy(dtype=float), np.nan)
    ends = np.fmin(closed, taken_away)
    unknown = np.isnan(ends) & (_decided(dataset) | (not dataset.dated))
    return np.where(unknown, assigned, ends)


def _clock(dataset: Dataset, assigned: np.ndarray) -> Clock:
    closed = np.where(_decided(dataset), dataset.assignments["closed_days"].to_numpy(dtype=float), np.nan)
    return Clock(closed - assigned, dataset.looked_at_days() - assigned)


def _too_young(dataset: Dataset, everything: Spells, ended: np.ndarray) -> np.ndarray:
    """Rows younger than the window that are still in the same hands, bool (n,)."""
    young = dataset.looked_at_days() - everything.at_days < everything.labels.window_days
    undated = (outcomes_so_far(dataset) == 1.0) & np.isnan(dataset.assignments["closed_days"].to_numpy(dtype=float))
    return np.asarray(young & np.isnan(ended) & ~undated)


def _labels(dataset: Dataset, assigned: np.ndarray, ended: np.ndarray) -> Labels:
    so_far = outcomes_so_far(dataset)
    closed = dataset.assignments["closed_days"].to_numpy(dtype=float)
    description = dataset.description
    # Without dates, or without a single closing date, an outcome can only be taken as final.
    final = description.outcome_is_final or not dataset.dated or bool(np.all(np.isnan(closed)))
    return label(
        converted=so_far == 1.0,
        known=~np.isnan(so_far),
        assigned_days=assigned,
        outcome_days=closed,
        ended_days=ended,
        now_days=dataset.looked_at_days(),
        window_days=description.window,
        final=final,
    )
