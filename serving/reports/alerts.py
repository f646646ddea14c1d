"""What needs somebody's attention: late calls, leads that lie still, a model that drifts, figures that contradict."""

from dataclasses import asdict
from typing import Any

import numpy as np

from serving.reports import fairness, lift
from serving.reports.facts import Facts, Flags
from serving.reports.response import MINUTES_A_DAY, deadline_minutes, overdue
from serving.reports.view import View, moment, number, told
from training.intervals import Estimate
from training.metrics import reliability

MOST_ITEMS = 50
RECENT_DAYS = 30.0
LEAST_SCORED, BINS = 200, 10
SHIFTED, SURE = 0.2, 0.001  # population stability index, and the chance of one so large by accident
OFF_BY, Z = 0.15, 2.6  # a level this far from what was predicted, beyond chance


def report(view: View) -> dict[str, Any]:
    """The figures of GET /v1/reports/alerts: one check each, with what it found; `items` name decisions by number."""
    facts = view.of_team(view.facts)
    checks = [
        _overdue(view, facts),
        _stuck(view, facts),
        _unassigned(facts),
        _leads_have_changed(view, facts),
        _level_is_off(view, facts),
        _contradiction(view),
        _unfair(view),
    ]
    order = {"high": 0, "medium": 1, "low": 2}
    return {**view.scope(), "alerts": sorted((each for each in checks if each["raised"]),
            key=lambda each: order[each["severity"]]), "checks": checks}  # fmt: skip


def _check(kind: str, severity: str, raised: bool, en: str, zh: str, **figures: Any) -> dict[str, Any]:
    return {"kind": kind, "severity": severity, "raised": raised, "text": {"en": en, "zh": zh}, **figures}


def _leads(n: int, which: str = "") -> str:
    return f"{n:,} {which}lead{'' if n == 1 else 's'}"


def _have(n: int) -> str:
    return "has" if n == 1 else "have"


def _overdue(view: View, facts: Facts) -> dict[str, Any]:
    late = facts.where(overdue(view, facts))
    by_days = late.number("given_at") + deadline_minutes(view, late) / MINUTES_A_DAY
    n = len(late)
    return _check(
        "overdue", "high", n > 0,
        f"{_leads(n)} {_have(n)} not been called by the deadline." if n else "No lead is overdue.",
        f"有 {n:,} 条线索超时未跟进。" if n else "没有超时未跟进的线索。",
        count=n, items=_items(late, by_days, "due_at"),
    )  # fmt: skip


def _stuck(view: View, facts: Facts) -> dict[str, Any]:
    """Open for longer than a lead's whole window: whatever comes of it, it is no longer counted."""
    held = facts.is_one_of("status", "open") & (facts.codes("rep_id") >= 0)
    touched = np.fmax(facts.number("contacted_at"), facts.number("given_at"))
    still = facts.where(held & (view.at_days - touched > view.window_days))
    since = np.fmax(still.number("contacted_at"), still.number("given_at"))
    n, days = len(still), round(view.window_days)
    return _check(
        "stuck", "medium", n > 0,
        f"{_leads(n, 'open ')} {_have(n)} not moved for more than {days} days." if n else "No open lead lies still.",
        f"有 {n:,} 条未结线索超过 {days} 天没有进展。" if n else "没有停滞的线索。",
        count=n, items=_items(still, since, "since"),
    )  # fmt: skip


def _unassigned(facts: Facts) -> dict[str, Any]:
    open_to_all = facts.is_one_of("status", "unassigned")
    waiting = facts.where(open_to_all)
    n = len(waiting)
    return _check(
        "unassigned", "high", n > 0,
        f"{_leads(n)} found nobody eligible or free." if n else "Every lead found a rep.",
        f"有 {n:,} 条线索没有可分配的销售。" if n else "每条线索都有销售接手。",
        count=n, items=_items(waiting, waiting.number("decided_at"), "since"),
    )  # fmt: skip


def _items(facts: Facts, at_days: np.ndarray, name: str) -> list[dict[str, Any]]:
    """The oldest of them."""
    order = np.argsort(at_days, kind="stable")[:MOST_ITEMS]
    seq, codes, grades = facts.seq, facts.codes("rep_id"), facts.codes("grade")
    return [
        {
            "seq": int(seq[place]),
            "rep_id": facts.words("rep_id")[codes[place]] if codes[place] >= 0 else None,
            "grade": facts.words("grade")[grades[place]] if grades[place] >= 0 else None,
            name: moment(float(at_days[place])),
        }
        for place in order
    ]


def _recent(view: View, facts: Facts) -> Flags:
    return facts.number("decided_at") >= view.at_days - RECENT_DAYS


def _leads_have_changed(view: View, facts: Facts) -> dict[str, Any]:
    """Lead scores are percentiles among the training window's leads: if nothing changed, they are spread evenly."""
    score = facts.number("lead_score")[_recent(view, facts)]
    score = score[~np.isnan(score)]
    if len(score) < LEAST_SCORED:
        return _check(
            "drift", "medium", False, f"Too few scored leads in {RECENT_DAYS:.0f} days to see a drift.",
            "近 30 天评分的线索太少，无法判断漂移。", leads=len(score), stability_index=None,
        )  # fmt: skip
    from scipy.stats import chi2  # over a second; a worker is ready before anybody asks for alerts

    seen = np.bincount(np.minimum(score // (100 / BINS), BINS - 1).astype(int), minlength=BINS) / len(score)
    floored = np.maximum(seen, 1e-4)
    index = float(np.sum((floored - 1 / BINS) * np.log(floored * BINS)))
    by_chance = float(chi2.sf(len(score) * index, BINS - 1))
    raised = index > SHIFTED and by_chance < SURE
    return _check(
        "drift", "medium", raised,
        "Leads are not what they were when the model was trained: retrain it." if raised
        else "Leads look as they did when the model was trained.",
        "线索与训练时相比已发生漂移：请重新训练模型。" if raised else "线索与训练时相比没有明显漂移。",
        leads=len(score), stability_index=index, deciles=[float(share) for share in seen], by_chance=by_chance,
    )  # fmt: skip


def _level_is_off(view: View, facts: Facts) -> dict[str, Any]:
    """Whether as many leads convert as was predicted for the reps who were drawn."""
    judged = facts.where(view.mature(facts) & ~np.isnan(facts.number("probability")))
    p, y = judged.number("probability"), view.converted(judged)
    spread = float(np.sqrt(np.sum(p * (1 - p))))
    if len(judged) < LEAST_SCORED or not spread:
        return _check(
            "calibration", "medium", False, "Too few leads are old enough to check the predicted level.",
            "到期的线索太少，无法核对预测水平。", leads=len(judged), ratio=None, bins=[],
        )  # fmt: skip
    ratio, half = float(y.sum() / p.sum()), 1.645 * spread / float(p.sum())
    z = float((y - p).sum()) / spread
    raised = abs(ratio - 1) > OFF_BY and abs(z) > Z
    return _check(
        "calibration", "medium", raised,
        f"{ratio:.0%} as many leads convert as was predicted."
        + (" Retrain the model." if raised else ""),
        f"实际转化为预测的 {ratio:.0%}。" + ("请重新训练模型。" if raised else ""),
        leads=len(judged), ratio=told(Estimate(ratio, ratio - half, ratio + half)), standard_errors=number(z),
        bins=[asdict(one) for one in reliability(y, p)],
    )  # fmt: skip


def _contradiction(view: View) -> dict[str, Any]:
    found = lift.agreement(view)
    raised = bool(found["disagree"])
    return _check(
        "holdout_against_replay", "high", raised,
        "The holdout and the replay contradict each other: check the logged chances." if raised
        else "The holdout and the replay do not contradict each other.",
        "对照组与回放的结论矛盾：请核对记录的分配概率。" if raised else "对照组与回放的结论没有矛盾。",
        **found,
    )  # fmt: skip


def _unfair(view: View) -> dict[str, Any]:
    found = fairness.report(view)
    raised = bool(found["order"]["biased"] or found["draw"]["biased"])
    return _check(
        "draw", "high", raised,
        "Somebody gets more leads than the logged chances explain." if raised
        else "Nobody gets more leads than chance explains.",
        "有人分到的线索超出了记录的分配概率。" if raised else "没有人分到的线索超出偶然范围。",
        order=found["order"], draw=found["draw"],
    )  # fmt: skip
