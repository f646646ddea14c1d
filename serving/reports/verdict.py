"""The lift in one plain sentence, in English and Chinese."""

from datetime import datetime
from typing import Any

LEAST_LEADS = 100


def verdict(found: dict[str, Any], *, basis: str, agreement: dict[str, Any], plan: dict[str, Any]) -> dict[str, Any]:
    """{state, text {en, zh}}: what a manager may conclude.

    found : leads, held_out, gain, always_valid, holdout; state : nothing_yet, too_early, disagree, gain, loss, unsure.
    Only an interval that holds at every look may decide: managers look every day.
    """
    state = _state(found, agreement)
    english, chinese = _SENTENCES[state]
    told = _words(found, plan)
    text = {"en": english.format(**told["en"]), "zh": chinese.format(**told["zh"])}
    if basis == "so_far" and state not in ("nothing_yet", "too_early"):
        text = {"en": text["en"] + _YOUNG[0], "zh": text["zh"] + _YOUNG[1]}
    return {"state": state, "text": text}


def _state(found: dict[str, Any], agreement: dict[str, Any]) -> str:
    band = found["always_valid"]
    if not found["leads"]:
        return "nothing_yet"
    if band["value"] is None:
        return "too_early"
    if agreement["disagree"]:
        return "disagree"
    if band["low"] > 0:
        return "gain"
    return "loss" if band["high"] < 0 else "unsure"


_YOUNG = (
    " Young leads count as they stand, so this will move.",
    "其中较新的线索按目前状态计入，数字还会变化。",
)
_SENTENCES = {
    "nothing_yet": (
        "No lead has been assigned by a logged draw yet: once leads come in, this page says what the policy gains.",
        "还没有经随机抽取分配的线索；有线索进来后，这里会说明分配规则带来多少提升。",
    ),
    "too_early": (
        "{leads} leads are too few to say anything: from 100 on there is a first interval.",
        "目前只有 {leads} 条线索，还不能下结论；满 100 条后给出第一个区间。",
    ),
    "disagree": (
        "The holdout and the replay contradict each other by more than chance explains: do not rely on either before "
        "the logged chances have been checked.",
        "对照组与回放的结论相差超出偶然范围：在核对记录的分配概率之前，两者都不可采信。",
    ),
    "gain": (
        "Leads given by the policy convert {size} points more often than the control would ({low} to {high}, an "
        "interval that holds at every look).",
        "按本规则分配的线索，转化率比对照高 {size} 个百分点（随时有效区间 {low} 至 {high}）。",
    ),
    "loss": (
        "Leads given by the policy convert {size} points less often than the control would ({low} to {high}): go back "
        "to the control and look for the cause.",
        "按本规则分配的线索，转化率比对照低 {size} 个百分点（{low} 至 {high}）：请先改回对照规则并查明原因。",
    ),
    "unsure": (
        "Not sure yet: the policy converts {signed} points against the control ({low} to {high}).{when}",
        "尚无定论：与对照相比 {signed} 个百分点（{low} 至 {high}）。{when}",
    ),
}


def _words(found: dict[str, Any], plan: dict[str, Any]) -> dict[str, dict[str, str]]:
    band = found["always_valid"]
    numbers = {"leads": f"{found['leads']:,}"}
    if band["value"] is not None:
        numbers |= {
            "size": f"{100 * abs(band['value']):.1f}",
            "signed": f"{100 * band['value']:+.1f}",
            "low": f"{100 * band['low']:+.1f}",
            "high": f"{100 * band['high']:+.1f}",
        }
    by = (plan.get("replay") or {}).get("sure_by")
    english = f" Sure by about {_day(by)} if the gain is what it seems." if by else ""
    chinese = f"若提升确如目前所见，约在 {_day(by)} 可下结论。" if by else ""
    return {"en": {**numbers, "when": english}, "zh": {**numbers, "when": chinese}}


def _day(at: datetime) -> str:
    return at.date().isoformat()
