"""A data set -> what training sees: columns that may serve, typed; mature spells, encoded."""

from dataclasses import dataclass

import numpy as np

from data.dataset import Dataset
from data.errors import InputError
from data.names import plain
from features.columns import ColumnContract
from features.infer import Exclusion, infer_contract
from features.leakage import find_leaks
from features.spells import Spells, build_spells, outcomes_so_far
from training.assess import LATER_SHARE
from training.splits import newest

NOT_ATTRIBUTES = frozenset({"lead_id", "customer_id", "created_at", "at_days"})
PERSONAL_DATA = "personal data"
LEAST_ROWS = 100
LEAST_OF_EACH = 20  # conversions, and rows that did not convert


class TooLittleError(InputError):
    """Too few rows to learn from; what to do about it depends on where they come from."""

    def __init__(self, found: str, remedy: str) -> None:
        super().__init__(f"{found} {remedy}")
        self.found = found


@dataclass(frozen=True)
class Prepared:
    """What a data set offers to training."""

    dataset: Dataset
    contract: ColumnContract
    excluded: tuple[Exclusion, ...]
    spells: Spells


def prepare(dataset: Dataset) -> Prepared:
    """The contract, the excluded columns with their reasons, and the mature spells.

    Raises InputError, in one line, where nothing can be learned from the data set.
    """
    personal = dataset.personal_columns
    left_out = NOT_ATTRIBUTES.union(personal)
    attributes = dataset.leads.drop(columns=[name for name in left_out if name in dataset.leads])
    rows = dataset.leads.set_index("lead_id").index.get_indexer(dataset.assignments["lead_id"])
    description = dataset.description
    leaks = find_leaks(
        attributes.iloc[rows].reset_index(drop=True),
        outcomes_so_far(dataset),
        declared=tuple(description.post_assignment),
    )
    kept = {plain(name) for name in description.keep}
    leaks = tuple(leak for leak in leaks if leak.why == PERSONAL_DATA or plain(leak.column) not in kept)
    left = attributes.drop(columns=[leak.column for leak in leaks if leak.column in attributes])
    contract, useless = infer_contract(
        left, types=dict(description.types), time_zone=description.time_zone, dated=dataset.dated
    )
    try:
        spells = build_spells(dataset, contract)
    except ValueError as error:
        raise InputError(str(error)) from error
    _check_enough(dataset, spells)
    named = tuple(Exclusion(name, PERSONAL_DATA) for name in personal)
    return Prepared(dataset, contract, (*named, *leaks, *useless), spells)


def _too_young(window_days: float) -> str:
    return f"younger than {_stretch(window_days)} or still open" if window_days else "still open"


def _stretch(days: float) -> str:
    for unit, name in ((1.0, "days"), (1 / 24, "hours")):
        if days >= 1.5 * unit:
            return f"{days / unit:.0f} {name}"
    return f"{24 * 60 * days:.2g} minutes"


def _check_enough(dataset: Dataset, spells: Spells) -> None:
    conversions = int(np.sum(spells.converted))
    others = len(spells) - conversions
    if len(spells) < LEAST_ROWS:
        raise TooLittleError(
            f"assignments: {len(spells)} rows with a mature outcome ({spells.labels.immature:,} are "
            f"{_too_young(spells.labels.window_days)}); at least {LEAST_ROWS} are needed.",
            "Wait, or set `window:` in dataset.yaml.",
        )
    if min(conversions, others) < LEAST_OF_EACH:
        raise TooLittleError(
            f"assignments: {conversions:,} of {len(spells):,} mature rows converted; at least {LEAST_OF_EACH} that did "
            f"and {LEAST_OF_EACH} that did not are needed.",
            "Check `outcomes:` and `target:` in dataset.yaml.",
        )
    if 2 * int(np.sum(~newest(spells.at_days, LATER_SHARE))) < LEAST_ROWS:
        raise InputError(
            "assignments: nearly all mature rows have one moment, so there is hardly a before and an after to judge a "
            "model by. Check `assigned_at`; for rows in the order of time without dates write `order_by: file`."
        )
    if len(spells.reps) == 1:
        raise InputError(
            "reps: only one rep, so there is nobody to choose between. For the lead part alone, write "
            "`reps: none` in dataset.yaml."
        )
