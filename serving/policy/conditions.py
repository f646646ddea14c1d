"""Conditions on the columns of a lead or a rep: `source: web`, `grade: [A, B]`, `budget: {at_least: 5000}`.

A rule book keeps them as they are written; `holds` asks them of one row of values.
"""

from collections.abc import Callable, Mapping
from typing import Annotated, Any

from pydantic import PlainValidator, WithJsonSchema

from features.columns import level_of, numbers, tokens_of

ORDER = ("at_least", "at_most", "above", "below")
FORM = "must be a value, a list of values, or one of {at_least, at_most, above, below, is_not, given}"
Value = Callable[[str], Any]  # column -> what stands there; None where nothing does


def condition(written: object) -> Any:
    """The condition as it is written; ValueError where it is none or nothing can fulfil it."""
    if _is_word(written):
        return written
    if isinstance(written, list):
        return _words(written)
    if not isinstance(written, dict) or not written:
        raise ValueError(FORM)
    for name, value in written.items():
        if name in ORDER:
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise ValueError(f"{name} compares with a number")
        elif name == "is_not":
            _words(value if isinstance(value, list) else [value])
        elif name == "given":
            if not isinstance(value, bool):
                raise ValueError("given is true (something stands there) or false")
        else:
            raise ValueError(f"{FORM}; there is no {name!r}")
    _check_possible(written)
    return written


Condition = Annotated[Any, PlainValidator(condition), WithJsonSchema({})]
Conditions = dict[str, Condition]


def holds(conditions: Mapping[str, Any], value: Value) -> bool:
    """Whether all the conditions hold; none at all hold always.

    >>> lead = {"source": "Web", "budget": 7000, "tags": "new;steel"}
    >>> holds({"source": ["web", "fair"], "budget": {"at_least": 5000}, "tags": "steel"}, lead.get)
    True
    >>> holds({"budget": {"below": 5000}}, lead.get), holds({"city": {"given": False}}, lead.get)
    (False, True)
    """
    return all(_holds(wanted, value(column)) for column, wanted in conditions.items())


def _holds(wanted: Any, found: Any) -> bool:
    if isinstance(wanted, dict):
        return all(_compares(name, than, found) for name, than in wanted.items())
    words = wanted if isinstance(wanted, list) else [wanted]
    return not said(found).isdisjoint(folded(word) for word in words)


def _compares(name: str, than: Any, found: Any) -> bool:
    if name == "given":
        return bool(said(found)) is than
    if name == "is_not":
        return said(found).isdisjoint(folded(word) for word in (than if isinstance(than, list) else [than]))
    number = number_in(found)
    match name:
        case "at_least":
            return number >= than  # a comparison with NaN, where there is no number, never holds
        case "at_most":
            return number <= than
        case "above":
            return number > than
    return number < than


def said(value: Any) -> frozenset[str]:
    """What a value says, each item of a list by itself, in the form in which words are compared."""
    if isinstance(value, int | float):  # a flag or a number is one word
        return frozenset((word,)) if (word := folded(value)) else frozenset()
    return frozenset(word.casefold() for word in tokens_of(value) or () if word)


def folded(word: Any) -> str:
    """One form for one word: no case, no blanks at the ends; 5.0 is 5.

    >>> folded(" North"), folded(5.0), folded(True)
    ('north', '5', 'true')
    """
    return (level_of(word) or "").casefold()


def number_in(value: Any) -> float:
    """The number that a value holds ("¥12,000" too); NaN where it holds none."""
    if isinstance(value, bool) or value is None:
        return float("nan")
    if isinstance(value, int | float):
        return float(value)
    return float(numbers([value])[0])


def _check_possible(written: Mapping[str, Any]) -> None:
    least = max(written.get("at_least", float("-inf")), written.get("above", float("-inf")))
    most = min(written.get("at_most", float("inf")), written.get("below", float("inf")))
    open_end = "above" in written or "below" in written
    if least > most or (least == most and open_end):
        raise ValueError(f"nothing is both over {least:g} and under {most:g}")
    if written.get("given") is False and len(written) > 1:
        raise ValueError("what is not given cannot be compared with anything")


def _words(written: list[Any]) -> list[Any]:
    if not written:
        raise ValueError("must name at least one value")
    if not all(_is_word(word) for word in written):
        raise ValueError("must be a list of texts, numbers, true or false")
    return written


def _is_word(written: object) -> bool:
    finite = not isinstance(written, float) or abs(written) < float("inf")
    return isinstance(written, str | int | float | bool) and finite and written != ""
