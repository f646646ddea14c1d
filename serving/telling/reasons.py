"""Contributions -> sentences that a manager can read aloud, in English and Chinese."""

import re
from collections.abc import Sequence
from datetime import date, datetime
from functools import lru_cache
from numbers import Real
from typing import Any, Literal

from data.roster import Rep
from features.columns import is_missing, tokens_of
from serving.telling import phrases
from training.explain import Contribution

Language = Literal["en", "zh"]
LONGEST_VALUE = 40  # characters; a longer value is cut, the exact one stands beside the text
NUMBER = re.compile(r"\d[\d,]*")
NEW_FOR_DAYS = 180.0
NAME_HERE, POINTS_HERE = "\ue000", "\ue001"  # private characters: `_readable` lets none into a value
TINY = 0.0005  # in probability: a smaller difference would print as 0.0 points


def reason_text(contribution: Contribution, rep: Rep, language: Language) -> str:
    """Why this rep: one contribution to the rep's uplift as a sentence with the value seen and its points."""
    points = points_text(contribution.contribution, language)
    return _fill(_sentence(contribution, rep, language), contribution, language, rep=name_of(rep), points=points)


def wording(contribution: Contribution, rep: Rep, language: Language) -> str:
    """`reason_text` with NAME_HERE and POINTS_HERE in their places: one for all contributions of the same sign."""
    sentence = _sentence(contribution, rep, language)
    return _fill(sentence, contribution, language, rep=NAME_HERE, points=POINTS_HERE)


def lead_wording(contribution: Contribution, language: Language) -> str:
    """`lead_text` with POINTS_HERE in its place."""
    sentence = _lead_sentence(contribution, language)
    return _fill(sentence, contribution, language, rep="", points=POINTS_HERE)


def kept_apart(value: Any) -> tuple[type, Any]:
    """A value as a part of a key: 1, 1.0 and True are equal to Python, but are not worded alike."""
    kind = type(value)
    return kind, repr(value) if kind is list else value


def lead_text(contribution: Contribution, language: Language) -> str:
    """Why this lead is hot or cold: one contribution to the lead's own probability as a sentence."""
    points = points_text(contribution.contribution, language)
    return _fill(_lead_sentence(contribution, language), contribution, language, rep="", points=points)


def over_text(
    chosen: Rep,
    other: Rep,
    contrast: Sequence[Contribution],
    language: Language,
    price_decided: bool = False,
) -> str:
    """Why `chosen` rather than `other`: who is likelier, in what each is ahead, and whether a price decided.

    contrast : adds up to P(chosen) - P(other).
    price_decided : without the prices of their slots `other` would have got the lead.
    """
    words = phrases.OVER[language]
    gap = sum(part.contribution for part in contrast)
    verdict = "alike" if abs(gap) < TINY else "likelier" if gap > 0 else "less_likely"
    names = {"chosen": name_of(chosen), "other": name_of(other)}
    text = words[verdict].format(**names, points=points_text(abs(gap), language, signed=False))
    for rep, sign in ((chosen, 1), (other, -1)):
        ahead = [_topic(part, language) for part in contrast if sign * part.contribution >= TINY]
        if ahead:
            text += words["favour"].format(rep=name_of(rep), topics=words["between"].join(ahead))
    return text + (words["price"].format(**names) if price_decided else "")


def exclusion_text(reason: str, language: Language) -> str:
    """Why a rep was not asked, in the reader's language; a reason of an installation's own stays as it is."""
    return reason if language == "en" else phrases.EXCLUSION.get(reason, reason)


def because_text(why: str, language: Language) -> str:
    """Why there is no figure, or no claim, in the reader's language; an unknown reason stays as it is."""
    if language == "en":
        return why
    numbers = iter(NUMBER.findall(why))
    known = phrases.BECAUSE.get(NUMBER.sub("#", why))
    return re.sub("#", lambda _: next(numbers), known) if known else why


def unassigned_text(reason: str, language: Language) -> str:
    """Why nobody got the lead, in the reader's language; an unknown reason stays as it is."""
    return reason if language == "en" else phrases.UNASSIGNED.get(reason, reason)


def points_text(probability: float, language: Language, *, signed: bool = True) -> str:
    """A difference of probabilities in points: `+4.1 pts`, `-12 pts`, `under 0.1 pts`."""
    if abs(probability) < TINY:
        return phrases.TINY[language]
    points = 100 * probability
    figure = f"{points:+.0f}" if abs(points) >= 9.95 else f"{points:+.1f}"
    return phrases.POINTS[language].format(figure if signed else figure.lstrip("+"))


@lru_cache(maxsize=2048)
def feature_text(feature: str, language: Language) -> str:
    """A column's name as people say it: `company_size` -> `company size`, in Chinese where we know the word."""
    column, _, level = feature.partition("=")  # one item of a list: "tags=vip"
    if column.partition(":")[0] == "created_at":
        return phrases.ARRIVAL[language]
    spoken = phrases.FEATURE.get(column.strip().lower().replace(" ", "_")) if language == "zh" else None
    named = spoken or " ".join(column.replace("_", " ").split())
    return f"{named} {level}" if level else named


def value_text(value: Any, language: Language) -> str:
    """The value seen, short enough to read: three significant digits at most; years and small counts stay exact."""
    if type(value) is str:  # the usual case first: to ask whether something is a number takes longer
        return _readable(value)
    if isinstance(value, bool):
        return phrases.FLAG[language][value]
    if isinstance(value, Real):
        return _number(float(value))
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%d %H:%M")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, list | tuple | set):
        return phrases.JOIN[language].join(value_text(item, language) for item in value)
    return _readable(str(value))


def name_of(rep: Rep) -> str:
    """How a sentence calls the rep: by name, else by id."""
    return _readable(rep.name or rep.rep_id)


def _readable(typed: str) -> str:
    if len(typed) <= LONGEST_VALUE and typed.isprintable() and "  " not in typed and typed == typed.strip():
        return typed
    # A control or direction mark would change how the rest of the sentence is shown.
    text = " ".join("".join(c if c.isprintable() else " " for c in typed).split())
    return text if len(text) <= LONGEST_VALUE else text[: LONGEST_VALUE - 1] + "…"


def _sentence(contribution: Contribution, rep: Rep, language: Language) -> str:
    fit = _stated_fit(contribution, rep)
    return phrases.FIT[language][fit, contribution.contribution >= 0] if fit else (
        phrases.REASON[language][_tone(contribution)]
    )  # fmt: skip


def _lead_sentence(contribution: Contribution, language: Language) -> str:
    kind = "other" if _is_rest(contribution) else "lead"
    return phrases.REASON[language][kind, contribution.contribution >= 0]


def _tone(contribution: Contribution) -> tuple[str, bool]:
    """Which row of the table a contribution of the rep part takes."""
    good = contribution.contribution >= 0
    if contribution.kind == "tenure" and isinstance(contribution.value, Real):
        return ("newcomer" if float(contribution.value) < NEW_FOR_DAYS else "settled"), good
    return ("segment" if contribution.kind == "number" else contribution.kind), good


def _is_rest(contribution: Contribution) -> bool:
    return contribution.kind == "other" or contribution.feature == "other"


def stated(rep: Rep) -> dict[str, frozenset[str]]:
    """What a rep states of herself that a sentence can name, by the roster's column, without case."""
    columns = {"regions": (*rep.regions, rep.region or ""), "languages": rep.languages, "skills": rep.skills}
    return {column: frozenset(item.casefold() for item in items) for column, items in columns.items()}


def _stated_fit(contribution: Contribution, rep: Rep) -> str | None:
    """The roster's column that a match is about, where what the rep states there agrees with its sign."""
    if contribution.kind != "match" or is_missing(contribution.value):
        return None
    asked = {token.casefold() for token in tokens_of(contribution.value) or ()}
    holds = [column for column, words in stated(rep).items() if asked & words]
    if contribution.contribution >= 0:
        return holds[0] if holds else None
    by_name = {"region": "regions", "regions": "regions", "language": "languages", "languages": "languages"}
    return None if holds else by_name.get(contribution.feature.lower())


def _fill(sentence: str, contribution: Contribution, language: Language, *, rep: str, points: str) -> str:
    value = _value(contribution, language)
    return sentence.format(rep=rep, seen=_seen(contribution, language, value), value=value, points=points)


def _topic(contribution: Contribution, language: Language) -> str:
    kind = "other" if _is_rest(contribution) else contribution.kind
    topic = phrases.TOPIC[language].get(kind, "{seen}")
    if "{seen}" in topic:
        topic = topic.format(seen=_seen(contribution, language, _value(contribution, language)))
    size = points_text(abs(contribution.contribution), language)
    return phrases.OVER[language]["topic"].format(topic=topic, points=size)


def _seen(contribution: Contribution, language: Language, value: str) -> str:
    feature = feature_text(contribution.feature, language)
    if is_missing(contribution.value):
        return phrases.UNSEEN[language].format(feature=feature)
    return phrases.SEEN[language].format(feature=feature, value=value)


def _value(contribution: Contribution, language: Language) -> str:
    if contribution.kind == "tenure" and isinstance(contribution.value, Real):
        return _age(float(contribution.value), language)
    return value_text(contribution.value, language)


def _age(days: float, language: Language) -> str:
    """A time at the company as people say it: 12 days, 8 months, 3 years."""
    count = max(0, int(days))
    unit, number = ("day", count) if count < 61 else ("month", int(count / 30.4))
    if count > 365:
        unit, number = "year", int(count / 365.25)
    words = phrases.AGE[language]
    return words[unit] if number == 1 else words[f"{unit}s"].format(number)


def _number(value: float) -> str:
    if value.is_integer() and abs(value) < 10_000:
        return str(int(value))  # a year or a head count stays exact
    rounded = float(f"{value:.3g}")
    return f"{rounded:,.0f}" if abs(rounded) >= 100 else f"{rounded:.3g}"
