"""The rule book: policy.yaml as a checked, frozen record, with messages that name the line, the field and the cure."""

from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

from pydantic import ValidationError

from data.errors import InputError
from serving.policy.contradictions import Contradiction, contradictions
from serving.policy.sections import HardRules, Prices, RuleBook
from serving.policy.written import Lines, at_line, field_problem, read_yaml

__all__ = [
    "DEFAULT_PATH", "HardRules", "Prices", "RuleBook", "default_rule_book", "parse_rule_book", "read_rule_book",
]  # fmt: skip
DEFAULT_PATH = Path(__file__).with_name("default.yaml")
MAX_CHARACTERS = 65_536
MOST_PROBLEMS = 20


def parse_rule_book(text: str) -> RuleBook:
    """The rule book in `text`; InputError names line and field of everything that cannot be used."""
    return read_rule_book(text)[0]


def read_rule_book(text: str) -> tuple[RuleBook, Lines]:
    """The same, with the line on which each field stands."""
    if len(text) > MAX_CHARACTERS:
        raise InputError(f"The rule book has {len(text)} characters, at most {MAX_CHARACTERS} are read.")
    content, lines = read_yaml(text)
    if content is None:
        content = {}
    if not isinstance(content, dict):
        raise InputError("The rule book must be a list of `field: value` lines; see `leadmatch policy show`.")
    try:
        book = RuleBook.model_validate(content)
    except ValidationError as error:
        problems = [field_problem(entry, lines, RuleBook) for entry in error.errors(include_url=False)]
        raise refused(problems) from None
    refuse_if_any(contradictions(book), lines)
    return book, lines


def refuse_if_any(found: Iterable[Contradiction], lines: Lines) -> None:
    """Raise InputError with every problem that was found, each with its line."""
    problems = [at_line(lines, place, message) for place, message in found]
    if problems:
        raise refused(problems)


def refused(problems: list[str]) -> InputError:
    """The error that refuses a rule book for these problems."""
    more = f"; and {len(problems) - MOST_PROBLEMS} more" if len(problems) > MOST_PROBLEMS else ""
    return InputError("The rule book cannot be used: " + "; ".join(problems[:MOST_PROBLEMS]) + more)


@lru_cache(maxsize=1)
def default_rule_book() -> RuleBook:
    """The rule book that is in force until somebody activates another one."""
    return parse_rule_book(DEFAULT_PATH.read_text(encoding="utf-8"))
