"""The figures logged with a training run, as pictures and as values: is it calibrated, does it rank, what drives it?"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from features.columns import ColumnContract
from training import figures
from training.conversion import ConversionModel
from training.curves import Importance, column_contribution, gains_curve, importance, overlap, rep_levels
from training.metrics import reliability

MOST_ROWS_SHOWN = 800  # in the summary of contributions


def build(
    *,
    model: ConversionModel,
    leads: np.ndarray,
    converted: np.ndarray,
    probability: np.ndarray,
    contributions: np.ndarray,
    kinds: np.ndarray | None = None,
    rep: np.ndarray | None = None,
) -> dict[str, bytes]:
    """Everything to log beside a run, file name -> content: one picture a question and `values.json`.

    leads : encoded, (n, n_features); converted : 0/1 (n,); probability : (n,) predicted for rows the fit has not
    seen; contributions : (n, n_features) to F in log-odds; kinds : (m,) which kind of lead each training row
    was; rep : (m,) position of its rep in model.reps. Without reps the pictures about them are left out.
    """
    calibration = reliability(converted, probability)
    important = importance(model.contract, contributions)
    values: dict[str, Any] = {"reliability": calibration, "importance": important}
    pictures = {
        "reliability.svg": figures.draw_reliability(calibration),
        "importance.svg": figures.draw_importance(important),
        "contributions.svg": figures.draw_contributions(*_shown(model.contract, leads, contributions, important)),
    }
    if np.any(converted):
        values["gains"] = gains = gains_curve(converted, probability)
        pictures["gains.svg"] = figures.draw_gains(gains)
    if model.reps:
        values["rep_levels"] = levels = rep_levels(model)
        pictures["rep_levels.svg"] = figures.draw_rep_levels(levels)
    if model.reps and kinds is not None and rep is not None:
        values["overlap"] = supported = overlap(kinds, rep, tuple(one.rep_id for one in model.reps))
        pictures["overlap.svg"] = figures.draw_overlap(supported)
    return {**pictures, "values.json": _json(values)}


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
