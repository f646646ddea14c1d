"""The randomised holdout that a log holds, if it holds one: its lift, and whether it says the same as the replay."""

from typing import Any

import numpy as np

from pipelines.evaluate_report import number
from pipelines.floor import Floor
from training.judging import Judged, Log
from training.policy_value import PolicyValue, estimate
from training.trial import ALARM, adjusted_lift, always_valid, disagree, lift, trial_scores

LEAST_ARM = 100  # leads in each arm
PLANNED = 3_000  # leads at which the always-valid interval is tightest; fixed beforehand, as its promise needs
HELD_OUT, BY_POLICY = "rotation", "model"


def trial_in(log: Log, floor: Floor, as_it_ran: Judged, rotation: Judged) -> dict[str, Any] | None:
    """The trial's figures; None where the log has no two arms of 100 leads with a propensity.

    as_it_ran, rotation : both judged on the whole log. Held out are the rows `assigned_by` rotation, beside those
    given by the model, with the mixture's propensity logged for both: as `leadmatch export` writes them.
    """
    held_out, by_policy = (floor.spells.assigned_by == arm for arm in (HELD_OUT, BY_POLICY))
    if not log.verified or min(held_out.sum(), by_policy.sum()) < LEAST_ARM:
        return None
    rows = held_out | by_policy
    outcome, held_out = log.converted[rows], held_out[rows]
    share = float(held_out.mean())
    even = floor.available / floor.available.sum(axis=1, keepdims=True)
    expected = np.sum(even * log.predicted, axis=1)[rows]  # the same whoever gets the lead
    scores = trial_scores(outcome, held_out, share, expected)
    replay = (as_it_ran.headline.values - rotation.headline.values)[rows]
    # The log is a mixture: rotation is a part of it, and so its gain over rotation is that part smaller.
    trial = (1 - share) * scores
    both = ~np.isnan(replay)
    told: dict[str, Any] = {"leads": int(rows.sum()), "held_out": int(held_out.sum()), "share": share}
    told["lift"] = plain(lift(outcome, held_out))
    told["adjusted"] = plain(adjusted_lift(outcome, held_out, expected))
    told["always_valid"] = plain(always_valid(scores, planned=PLANNED))
    told["agreement"] = agreement(trial[both], replay[both]) if both.sum() >= LEAST_ARM else None
    return told


def agreement(trial: np.ndarray, replay: np.ndarray) -> dict[str, Any]:
    """Whether holdout and replay contradict each other, and by how many standard errors; one score a lead of each."""
    gap = estimate(trial - replay)
    apart = abs(gap.value) / gap.standard_error if gap.standard_error > 0 else 0.0
    told = {"disagree": disagree(trial, replay), "gap": plain(gap), "standard_errors": apart, "alarm_from": ALARM}
    if told["disagree"]:
        told["warning"] = (
            f"Holdout and replay are {apart:.1f} standard errors apart; chance alone reaches {ALARM} once in a hundred "
            "trials. The logged propensities or the holdout's draw may be wrong: believe neither before it is known."
        )
    return told


def plain(value: PolicyValue) -> dict[str, float | None]:
    """A value with its interval as plain values."""
    return {name: number(each) for name, each in vars(value).items()}
