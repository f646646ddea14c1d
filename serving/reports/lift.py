"""Is it worth it? What the policy gained over its control, by the leads held out and by all logged draws."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np

from serving.reports.facts import Facts, Flags, Floats
from serving.reports.verdict import verdict
from serving.reports.view import LEVEL, View, count, moment, nothing, number, told
from training.intervals import share as share_of
from training.normal import quantile
from training.policy_value import PolicyValue, effective_sample_size, estimate
from training.trial import ALARM, POWER, SIGNIFICANCE, adjusted_lift, leads_needed, lift, mixture_half_width

PLANNED = 3_000  # leads at which the always-valid interval is tightest; fixed beforehand, as its promise needs
LEAST_MATURE, LEAST_IN_AN_ARM = 100, 20
POINTS = 60  # of the line over time
RECENT_DAYS = 30.0  # that the pace of leads is taken from
SHARES = (0.1, 0.2, 0.3, 0.5)
TOO_FAR = timedelta(days=5 * 365)
TOO_FEW = f"fewer than {LEAST_IN_AN_ARM} leads in one of the arms"


@dataclass(frozen=True)
class Trial:
    """The leads that count, oldest first; one entry a lead, its first draw."""

    at_days: Floats
    converted: Floats
    held_out: Flags
    share: Floats  # chance of being held out
    baseline: Floats  # P(convert) whoever gets the lead, as seen at the decision
    gain: Floats  # doubly robust score: its mean is what the policy gains over the control
    policy: Floats  # the same for the policy's value alone
    control: Floats
    weight_policy: Floats
    weight_control: Floats

    def __len__(self) -> int:
        return len(self.converted)

    @property
    def randomised(self) -> Flags:
        """Those that could have been held out, and could have not."""
        return (self.share > 0) & (self.share < 1)


def report(view: View) -> dict[str, Any]:
    """The figures of GET /v1/reports/lift; rates and gains are conversions per lead."""
    facts = counted(view)
    mature = view.mature(facts)
    trial, basis = judged(view, facts, mature)
    found = _gain(trial)
    agrees = _agreement(trial)
    planned = _plan(view, trial, facts, found)
    return {
        **view.scope(),
        "unit": "conversions per lead",
        "basis": basis,
        "rows": {
            "decisions": len(view.facts),
            "drawn": len(facts),
            "counted": len(trial),
            "mature": count(mature),
            "held_out": count(trial.held_out),
        },
        "arms": _arms(trial),
        "holdout": _holdout(trial),
        "holdout_adjusted": _holdout(trial, adjusted=True),
        "doubly_robust": told(found) if len(trial) else nothing("no lead with a logged draw yet"),
        "always_valid": _always_valid(trial.gain),
        "over_time": _over_time(trial),
        "agreement": agrees,
        "plan": planned,
        "policies": _policies(view, trial),
        "shadow": _shadow(view),
        "overrides": _overrides(view),
        "verdict": verdict(trial_of(trial, found), basis=basis, agreement=agrees, plan=planned),
    }


def judged(view: View, facts: Facts, mature: Flags) -> tuple[Trial, str]:
    """The leads whose window is over; where they are too few, all of them as they stand (`so_far`).

    Both arms are equally young, so what has converted so far may be compared; it is only less than it will be.
    """
    trial = _trial(view, facts.where(mature))
    return (trial, "window") if _enough(trial) or mature.all() else (_trial(view, facts), "so_far")


def agreement(view: View) -> dict[str, Any]:
    """Whether the holdout and the replay contradict each other."""
    facts = counted(view)
    return _agreement(judged(view, facts, view.mature(facts))[0])


def trial_of(trial: Trial, found: PolicyValue) -> dict[str, Any]:
    """What the verdict rests on."""
    return {
        "leads": len(trial),
        "held_out": count(trial.held_out),
        "gain": told(found) if len(trial) else nothing("no leads"),
        "always_valid": _always_valid(trial.gain),
        "holdout": _holdout(trial, adjusted=True),
    }


def counted(view: View) -> Facts:
    """The leads' first draws, of which a trial may speak: not in shadow, and with the chance to be judged.

    With a team: leads that only reps of this team could have got, a property of the lead before any draw.
    """
    facts = view.facts
    judged = facts.flag("first_draw") & ~facts.is_one_of("mode", "shadow")
    # Without a holdout, only a policy that explores gives every rep a chance; a rule does not.
    judged &= (facts.number("share") > 0) | facts.is_one_of("arm", "model", "explore")
    if view.team is not None:
        judged &= facts.is_one_of("eligible_team", view.team)
    return facts.where(judged)


def _trial(view: View, facts: Facts) -> Trial:
    y = view.converted(facts)
    probability, policy, control = (
        np.nan_to_num(facts.number(name)) for name in ("probability", "expected_policy", "expected_control")
    )
    logged = facts.number("propensity")
    of_policy, of_control = facts.number("propensity_policy") / logged, facts.number("propensity_control") / logged
    baseline = facts.number("baseline")
    usual = float(np.nanmean(baseline)) if np.isfinite(baseline).any() else 0.0
    scores = policy + of_policy * (y - probability), control + of_control * (y - probability)
    return Trial(
        at_days=facts.number("decided_at"),
        converted=y,
        held_out=facts.is_one_of("arm", "holdout"),
        share=facts.number("share"),
        baseline=np.where(np.isfinite(baseline), baseline, usual),
        gain=scores[0] - scores[1],
        policy=scores[0],
        control=scores[1],
        weight_policy=of_policy,
        weight_control=of_control,
    )


def _enough(trial: Trial) -> bool:
    held = count(trial.held_out)
    return len(trial) >= LEAST_MATURE and min(held, len(trial) - held) >= LEAST_IN_AN_ARM


def _gain(trial: Trial) -> PolicyValue:
    return estimate(trial.gain) if len(trial) > 1 else PolicyValue(*[np.nan] * 4)


def _arms(trial: Trial) -> dict[str, Any]:
    arms = {"policy": ~trial.held_out, "holdout": trial.held_out}
    return {
        name: {
            "leads": count(rows),
            "conversions": int(trial.converted[rows].sum()),
            "rate": told(share_of(float(trial.converted[rows].sum()), count(rows)), why="no leads in this arm"),
        }
        for name, rows in arms.items()
    }


def _holdout(trial: Trial, *, adjusted: bool = False) -> dict[str, Any]:
    """The difference in means, within each share that was held out, weighted by leads: a ramp biases nothing."""
    parts = []
    for share in np.unique(trial.share[trial.randomised]):
        rows = trial.share == share
        held = trial.held_out[rows]
        if min(count(held), count(~held)) < LEAST_IN_AN_ARM:
            continue
        y = trial.converted[rows]
        parts.append((len(y), adjusted_lift(y, held, trial.baseline[rows]) if adjusted else lift(y, held)))
    if not parts:
        return nothing(TOO_FEW)
    weight = np.array([size for size, _ in parts]) / sum(size for size, _ in parts)
    value = float(weight @ [part.value for _, part in parts])
    error = float(np.sqrt(weight**2 @ [part.standard_error**2 for _, part in parts]))
    half = float(quantile(0.5 + LEVEL / 2)) * error
    return told(PolicyValue(value, error, value - half, value + half))


def _always_valid(scores: Floats) -> dict[str, Any]:
    if len(scores) < LEAST_MATURE:
        return nothing(f"an interval that holds at every look needs {LEAST_MATURE} leads")
    half = mixture_half_width(len(scores), float(scores.std()), planned=PLANNED, level=LEVEL)
    value = float(scores.mean())
    return {"value": value, "low": value - half, "high": value + half}


def _over_time(trial: Trial) -> list[dict[str, Any]]:
    """The gain after each of some sixty stretches of leads, with the band that holds at every look."""
    n = len(trial)
    if n < LEAST_MATURE:
        return []
    ends = np.unique(np.linspace(LEAST_MATURE, n, min(POINTS, n - LEAST_MATURE + 1)).astype(int))
    replay = _cumulated(trial.gain, ends)
    holdout = _cumulated(_trial_scores(trial), ends)
    made = []
    for place, end in enumerate(ends):
        value, sd = replay[0][place], replay[1][place]
        half = mixture_half_width(int(end), float(sd), planned=PLANNED, level=LEVEL)
        made.append(
            {
                "at": moment(trial.at_days[end - 1]),
                "leads": int(end),
                "gain": {"value": float(value), "low": float(value - half), "high": float(value + half)},
                "holdout": {"value": number(holdout[0][place]), **_normal(holdout, place, int(end))},
            }
        )
    return made


def _normal(cumulated: tuple[Floats, Floats], place: int, n: int) -> dict[str, float | None]:
    value, half = cumulated[0][place], quantile(0.5 + LEVEL / 2) * cumulated[1][place] / np.sqrt(n)
    return {"low": number(value - half), "high": number(value + half)}


def _trial_scores(trial: Trial) -> Floats:
    """One score a lead whose mean is the holdout's difference; 0 weight where nothing could be held out."""
    with np.errstate(divide="ignore", invalid="ignore"):
        sign = np.where(trial.held_out, -1 / trial.share, 1 / (1 - trial.share))
    scores: Floats = np.where(trial.randomised, sign * (trial.converted - trial.baseline), 0.0)
    return scores


def _cumulated(scores: Floats, ends: np.ndarray) -> tuple[Floats, Floats]:
    """(mean, standard deviation) of the first so many scores."""
    mean = np.cumsum(scores)[ends - 1] / ends
    square = np.cumsum(scores**2)[ends - 1] / ends
    return mean, np.sqrt(np.maximum(square - mean**2, 0.0))


def _agreement(trial: Trial) -> dict[str, Any]:
    """Whether the holdout and the replay say the same, on the leads that both can judge."""
    rows = trial.randomised
    if not _enough(trial) or not rows.any():
        return {"disagree": None, "gap": nothing(TOO_FEW), "standard_errors": None, "alarm_from": ALARM}
    gap = estimate((_trial_scores(trial) - trial.gain)[rows])
    apart = abs(gap.value) / gap.standard_error if gap.standard_error > 0 else 0.0
    return {"disagree": bool(apart > ALARM), "gap": told(gap), "standard_errors": float(apart), "alarm_from": ALARM}


def _plan(view: View, trial: Trial, facts: Facts, found: PolicyValue) -> dict[str, Any]:
    """How many leads, and until when, it takes to be sure of a gain of the size that is seen."""
    decided = facts.number("decided_at")
    recent = decided >= view.at_days - RECENT_DAYS
    stretch = min(RECENT_DAYS, view.at_days - float(decided.min())) if len(facts) else 0.0
    a_month = count(recent) / max(stretch, 1.0) * 30 if len(facts) else 0.0
    rate = float(trial.converted[trial.held_out].mean()) if trial.held_out.any() else np.nan
    size = abs(found.value) if len(trial) > 1 else np.nan
    made: dict[str, Any] = {"leads_per_month": a_month, "power": POWER, "significance": SIGNIFICANCE}
    made |= {"rate": number(rate), "gain": number(size)}
    if not (0 < rate < 1 and size > 0 and rate + size < 1):
        return made | {"why": "not enough has converted yet to tell how much it takes", "holdout": [], "replay": None}
    share = round(float(trial.share[-1]), 6)  # facts are kept in single precision
    offered = sorted({*SHARES, share} if 0 < share < 1 else set(SHARES))
    held = [
        {"share": each, "now": each == share, **_until(leads_needed(rate, size, each), len(trial), a_month, view.at)}
        for each in offered
    ]
    z = quantile(1 - SIGNIFICANCE / 2) + quantile(POWER)
    replay = int(np.ceil((z * float(trial.gain.std()) / size) ** 2))
    return made | {"holdout": held, "replay": _until(replay, len(trial), a_month, view.at)}


def _until(needed: int, have: int, a_month: float, at: datetime) -> dict[str, Any]:
    more = max(needed - have, 0)
    wait = timedelta(days=min(30 * more / a_month, 1e6)) if a_month > 0 else None
    known = wait is not None and wait <= TOO_FAR
    return {
        "leads": needed,
        "more": more,
        "months": number(needed / a_month) if a_month > 0 else None,
        "sure_by": at + wait if known and wait is not None else None,
    }


def _policies(view: View, trial: Trial) -> list[dict[str, Any]]:
    """What ran, both arms together, and each of the two that ran, judged on all counted leads."""
    ran = told(share_of(float(trial.converted.sum()), len(trial)), why="no leads yet")
    made = [{"name": "as_it_ran", "estimator": "mean", "effective_sample_size": float(len(trial)), **ran}]
    for name, scores, weight in (
        (view.rules.method, trial.policy, trial.weight_policy),
        (view.rules.control, trial.control, trial.weight_control),
    ):
        effective = effective_sample_size(weight) if len(weight) else 0.0
        value = told(estimate(scores)) if len(trial) > 1 else nothing("no leads yet")
        made.append({"name": name, "estimator": "dr", "effective_sample_size": effective, **value})
    return made


def _shadow(view: View) -> dict[str, Any] | None:
    """How often the CRM, left to itself, chose the rep whom we would have chosen; none where nothing ran in shadow."""
    facts = view.facts.where(view.facts.is_one_of("mode", "shadow") & ~view.facts.flag("unassigned"))
    if not len(facts):
        return None
    known = facts.codes("rep_id") >= 0
    agreed = count(facts.same("rep_drawn", "rep_id"))
    return {
        "decisions": len(facts),
        "told": count(known),
        "agreed": agreed,
        "share": told(share_of(agreed, count(known)), why="the CRM has not said yet who got these leads"),
    }


def _overrides(view: View) -> dict[str, Any]:
    """What people's own choices brought, beside what the model expected of the rep whom they replaced.

    Leads that were overridden against those that were not, each by how much more it converted than was expected of
    the rep drawn: what a manager knew and the model did not counts as the manager's. No lead was overridden at random.
    """
    facts = view.facts.where(~view.facts.is_one_of("mode", "shadow") & (view.facts.codes("rep_drawn") >= 0))
    changed = (facts.number("version") > 1) & ~facts.same("rep_drawn", "rep_id") & (facts.codes("rep_id") >= 0)
    judged = view.mature(facts) & ~np.isnan(facts.number("probability"))
    above = view.converted(facts) - np.nan_to_num(facts.number("probability"))
    theirs, ours = above[judged & changed], above[judged & ~changed]
    made: dict[str, Any] = {"overridden": count(changed), "judged": len(theirs), "label": "observational, not verified"}
    if min(len(theirs), len(ours)) < LEAST_IN_AN_ARM:
        why = f"fewer than {LEAST_IN_AN_ARM} overridden leads are old enough"
        return made | {"above_model": nothing(why)}
    value = float(theirs.mean() - ours.mean())
    error = float(np.sqrt(theirs.var(ddof=1) / len(theirs) + ours.var(ddof=1) / len(ours)))
    half = float(quantile(0.5 + LEVEL / 2)) * error
    return made | {"above_model": told(PolicyValue(value, error, value - half, value + half))}
