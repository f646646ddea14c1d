"""Judged policies as the object of `evaluate --json`."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from pipelines.floor import Floor
from training.judging import TOO_LITTLE, Judged, Line, Log, difference

CONVERSIONS, REVENUE = "conversions", "revenue"  # what `--unit` may say
UNIT = "conversions per lead"
BASELINE = "rotation"
VERIFIED, OBSERVATIONAL = "verified", "observational, not verified"
COMPARED_WITH_ALL = "model"
MOST_REPS_SHOWN = 200


def report(
    judged: Sequence[Judged],
    refused: Sequence[dict[str, str]],
    log: Log,
    floor: Floor,
    rng: np.random.Generator,
    *,
    revenue: bool,
    currency: str | None,
) -> dict[str, Any]:
    """Values, differences, refusals and diagnostics as plain values; currency : of the revenue, where it is stated."""
    return {
        "unit": f"revenue per lead{f', {currency}' if currency else ''}" if revenue else UNIT,
        "baseline": BASELINE,
        "label": VERIFIED if log.verified else OBSERVATIONAL,
        "policies": [plain_line(one, line) for one in judged for line in one.lines],
        "differences": differences(judged, log, rng),
        "refused": [*refused, *({"name": one.name, "why": one.refused} for one in judged if one.refused)],
        "diagnostics": [diagnostics(one, log, floor) for one in judged],
    }


def plain_line(one: Judged, line: Line) -> dict[str, Any]:
    """One row of `policies`."""
    doubtful = line.interval is not None and line.interval != "normal"
    return {
        "name": one.name,
        "estimator": line.estimator,
        "headline": line.headline,
        "value": number(line.value.value),
        "low": number(line.value.low),
        "high": number(line.value.high),
        "standard_error": number(line.value.standard_error),
        "effective_sample_size": number(line.effective_sample_size),
        "supported_share": number(one.overlap.supported_share),
        "rows": one.overlap.rows,
        "interval": line.interval,
        "warning": f"{TOO_LITTLE} for a normal interval" if doubtful else None,
    }


def differences(judged: Sequence[Judged], log: Log, rng: np.random.Generator) -> list[dict[str, Any]]:
    """Every policy over the baseline, and the model over every other, on the rows where both were judged."""
    by_name = {one.name: one for one in judged if not one.refused}
    pairs = [(name, BASELINE) for name in by_name if name != BASELINE]
    if COMPARED_WITH_ALL in by_name:
        pairs += [(COMPARED_WITH_ALL, name) for name in by_name if name not in (BASELINE, COMPARED_WITH_ALL)]
    made = []
    for name, over in pairs:
        if over not in by_name:
            continue
        gap = difference(by_name[name], by_name[over], log, rng, clusters=over == BASELINE)
        if gap is None:
            continue
        made.append(
            {
                "name": name,
                "over": over,
                "value": number(gap.value),
                "low": number(gap.low),
                "high": number(gap.high),
                "standard_error": number(gap.standard_error),
            }
        )
    return made


def diagnostics(one: Judged, log: Log, floor: Floor) -> dict[str, Any]:
    """How well the log supports a policy, and how far its estimators are apart."""
    found = one.overlap
    values = {line.estimator: line.value.value for line in one.lines}
    reps = range(len(floor.reps)) if len(floor.reps) <= MOST_REPS_SHOWN else range(0)
    blamed = "the logged propensities are wrong" if log.verified else "the estimated propensities are off"
    said = (
        f"The mean weight is {found.mean_weight:.3f}, not 1: the policy gives leads to reps who could not have got "
        f"them at the time, or {blamed}."
    )
    return {
        "name": one.name,
        "rows": found.rows,
        "effective_sample_size": number(found.effective_sample_size),
        "effective_share": number(found.effective_sample_size / found.rows),
        "largest_weight_share": number(found.largest_weight_share),
        "mean_weight": number(found.mean_weight),
        "mean_weight_standard_error": number(found.mean_weight_error),
        "share_where_logged_below_0.01": number(found.thin_share),
        "logged_p01": number(found.logged_p01),
        "dm_less_dr": gap_of(values, "dm", "dr"),
        "snips_less_ips": gap_of(values, "snips", "ips"),
        "reps": [
            {
                "rep_id": floor.reps[place].rep_id,
                "share": number(found.target_share[place]),
                "logged_share": number(found.logged_share[place]),
            }
            for place in reps
        ],
        "warning": said if found.mean_weight_is_off else None,
    }


def gap_of(values: dict[str, float], one: str, other: str) -> float | None:
    """The difference of two estimators, None where one is missing."""
    return number(values[one] - values[other]) if one in values and other in values else None


def number(value: float) -> float | None:
    """A plain float for JSON; None for what is not defined."""
    return float(value) if np.isfinite(value) else None
