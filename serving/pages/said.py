"""What was said in English, by the interface, the training or the rule book's checks, in the reader's language.

Such sentences come as text: in an answer's `detail`, in the grounds that a promotion keeps for ever. Each is known by
a code with its values, `code_of`, and told again from those. What is not known stays as it was said.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import yaml

from serving.pages.words import Language
from serving.telling.reasons import because_text, exclusion_text

FILE = Path(__file__).with_name("said.yaml")
PLACE = re.compile(r"\{\{|\}\}|\{(\w+)\}")
TOLD_TOO = frozenset({"why", "what", "than", "meaning", "feat", "role", "status", "which", "whose"})  # sentences in one
PROBLEMS = "problems"  # several, with the line of each
ROLES = "roles"  # several
BETWEEN = re.compile(r"; (?=line \d+: |and \d+ more$)")


@dataclass(frozen=True)
class Said:
    """A sentence by its code, and what stood in its places."""

    code: str
    values: Mapping[str, str]


@dataclass(frozen=True)
class _Sentence:
    code: str
    pattern: re.Pattern[str]
    chinese: str


def code_of(text: str) -> Said | None:
    """The sentence that a text is; None where it is not one of ours."""
    for each in _sentences():
        found = each.pattern.fullmatch(text)
        if found:
            return Said(each.code, found.groupdict())
    return None


def told(text: str, language: Language) -> str:
    """The same in the reader's language."""
    if language == "en":
        return text
    said = code_of(text)
    if said is None:
        return because_text(exclusion_text(text, language), language)
    return _chinese()[said.code].format(**{name: _value(name, value) for name, value in said.values.items()})


def _value(name: str, value: str) -> str:
    if name == PROBLEMS:
        return "；".join(told(each, "zh") for each in BETWEEN.split(value))
    if name == ROLES:
        return "、".join(told(each, "zh") for each in value.split(", "))
    return told(value, "zh") if name in TOLD_TOO else value


@lru_cache
def _sentences() -> tuple[_Sentence, ...]:
    """Those first that leave least open, so that a general one does not take a special one's words."""
    sections = yaml.safe_load(FILE.read_text(encoding="utf-8"))
    known = [
        _Sentence(f"{section}.{name}", _pattern(both["en"]), both["zh"])
        for section, sentences in sections.items()
        for name, both in sentences.items()
    ]
    return tuple(sorted(known, key=lambda each: (each.pattern.groups > 0, -len(each.pattern.pattern))))


@lru_cache
def _chinese() -> Mapping[str, str]:
    return {each.code: each.chinese for each in _sentences()}


def _pattern(english: str) -> re.Pattern[str]:
    """The sentence with its places open."""
    made, end = "", 0
    for found in PLACE.finditer(english):
        made += re.escape(english[end : found.start()])
        made += f"(?P<{found[1]}>.+?)" if found[1] else re.escape(found[0][0])
        end = found.end()
    return re.compile(made + re.escape(english[end:]), re.DOTALL)
