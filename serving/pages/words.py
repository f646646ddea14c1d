"""The pages' words: one file a language, the same keys in each."""

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, get_args

import yaml

Language = Literal["en", "zh"]
LANGUAGES: tuple[Language, ...] = get_args(Language)
FOLDER = Path(__file__).with_name("words")


@lru_cache
def words(language: Language) -> Mapping[str, str]:
    """Every phrase by its dotted key: `assignments.title`."""
    content = yaml.safe_load((FOLDER / f"{language}.yaml").read_text(encoding="utf-8"))
    return dict(_flat(content, ""))


class Say:
    """`say("assignments.found", n=3)`: a phrase in the reader's language. Raises KeyError for one that is missing."""

    def __init__(self, language: Language) -> None:
        self.language = language
        self._words = words(language)

    def __call__(self, key: str, **values: Any) -> str:
        """The phrase with these values in it."""
        return self._words[key].format(**values) if values else self._words[key]

    def known(self, key: str, otherwise: str) -> str:
        """The phrase where there is one: for words that come from data, such as an arm or a reason."""
        return self._words.get(key, otherwise)


def negotiated(accept_language: str) -> Language:
    """The first of our languages that a browser asks for; English if none."""
    for part in accept_language.split(","):
        asked = part.split(";")[0].strip().lower()[:2]
        if asked in LANGUAGES:
            return "zh" if asked == "zh" else "en"
    return "en"


def _flat(content: Mapping[str, Any], above: str) -> Any:
    for name, value in content.items():
        key = f"{above}{name}"
        if isinstance(value, dict):
            yield from _flat(value, f"{key}.")
        else:
            yield key, str(value)
