"""The figures logged with a training run, as pictures and as values: is it calibrated, does it rank, what drives it?"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from features.columns import ColumnContract
from training import figures
from training.conversion import ConversionModel
from training.curves import (
    GainsPoint,
    Importance,
    RepLevel,
    Support,
    column_contribution,
    gains_curve,
    importance,
    overlap,
    rep_levels,
)
from training.metrics import ReliabilityBin, reliability

MOST_ROWS_SHOWN = 800  # in the summary of contributions


@dataclass(frozen=True)
class Measured:
    """What a run's pictures show. A list is empty where there is nothing to show: no conversion, no reps."""

    reliability: list[ReliabilityBin]
    gains: list[GainsPoint]
    rep_levels: list[RepLevel]
    overlap: list[Support]
    importance: list[Importance]
    columns: list[str]  # of the summary of contributions, most important first
    contributions: list[np.ndarray]  # of each of them, (n_shown,) log-odds
    column_values: list[np.ndarray | None]  # where the column is one number


def measure(
    *,
    model: ConversionModel,
    leads: np.ndarray,
    converted: np.ndarray,
    probability: np.ndarray,
    contributions: np.ndarray,
    kinds: np.ndarray | None = None,
    rep: np.ndarray | None = None,
) -> Measured:
    """The curves and tables of a run.

    leads : encoded, (n, n_features); converted : 0/1 (n,); probability : (n,) predicted for rows the fit has not
    seen; contributions : (n, n_features) to F in log-odds; kinds : (m,) which kind of lead each training row
    was; rep : (m,) position of its rep in model.reps.
    """
    important = importance(model.contract, contributions)
    columns, parts, values = _shown(model.contract, leads, contributions, important)
    supported: list[Support] = []
    if model.reps and kinds is not None and rep is not None:
        supported = overlap(kinds, rep, tuple(one.rep_id for one in model.reps))
    return Measured(
        reliability=reliability(converted, probability),
        gains=gains_curve(converted, probability) if np.any(converted) else [],
        rep_levels=rep_levels(model) if model.reps else [],
        overlap=supported,
        importance=important,
        columns=columns,
        contributions=parts,
        column_values=values,
    )


def build(measured: Measured) -> dict[str, bytes]:
    """Everything to log beside a run, file name -> content: one picture a question and `values.json`."""
    values = {name: rows for name, rows in vars(measured).items() if name in WITH_VALUES and rows}
    return {f"{name}.svg": picture for name, picture in pictures(measured).items()} | {"values.json": _json(values)}


WITH_VALUES = ("reliability", "importance", "gains", "rep_levels", "overlap")


def pictures(measured: Measured, *, narrow: bool = False) -> dict[str, bytes]:
    """The pictures by name; those about reps or conversions only where there are any."""
    shown = measured.columns, measured.contributions, measured.column_values
    made = {
        "reliability": figures.draw_reliability(measured.reliability, narrow=narrow),
        "importance": figures.draw_importance(measured.importance, narrow=narrow),
        "contributions": figures.draw_contributions(*shown, narrow=narrow),
    }
    if measured.gains:
        made["gains"] = figures.draw_gains(measured.gains, narrow=narrow)
    if measured.rep_levels:
        made["rep_levels"] = figures.draw_rep_levels(measured.rep_levels, narrow=narrow)
    if measured.overlap:
        made["overlap"] = figures.draw_overlap(measured.overlap, narrow=narrow)
    return made


def _shown(
    contract: ColumnContract, leads: np.ndarray, contributions: np.ndarray, important: Sequence[Importance]
) -> tuple[list[str], list[np.ndarray], list[np.ndarray | None]]:
    """For the summary: the columns, their contributions, and their values where they are one number each."""
    rows = np.unique(np.linspace(0, len(leads) - 1, min(MOST_ROWS_SHOWN, len(leads))).astype(int))
    columns = [one.column for one in important[: figures.MOST_COLUMNS]]
    parts = [column_contribution(contract, contributions[rows], column) for column in columns]
    values = [_numbers_of(contract, leads[rows], column) for column in columns]
    return columns, parts, values


def _numbers_of(contract: ColumnContract, leads: np.ndarray, column: str) -> np.ndarray | None:
    """A column's values where it is one number; None for categories, lists and moments."""
    features = [(place, feature) for place, feature in enumerate(contract.features) if feature.column == column]
    place, feature = features[0]
    return leads[:, place] if len(features) == 1 and feature.kind == "number" else None


def _json(values: Mapping[str, list[Any]]) -> bytes:
    plain = {name: [asdict(row) for row in rows] for name, rows in values.items()}
    return json.dumps(plain, ensure_ascii=False, indent=1).encode()
