"""A rule's question to every rep at once, laid out beforehand: a lead then costs a look-up, not a loop."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from data.roster import Rep
from serving.policy.conditions import holds, number_in, said
from serving.policy.exploration import Flags, Floats
from serving.policy.sections import HardRule

Values = Callable[[Rep], Any]


def members(reps: Sequence[Rep], conditions: Mapping[str, Any]) -> Flags:
    """Who of the roster fulfils conditions on her own columns, shape (n_reps,)."""
    return np.array([holds(conditions, rep.value) for rep in reps], dtype=bool)


class Words:
    """Which reps say a word in some column, by word."""

    def __init__(self, reps: Sequence[Rep], value: Values) -> None:
        stated = [said(value(rep)) for rep in reps]
        self._by_word = {
            word: np.array([word in words for words in stated], dtype=bool) for word in frozenset().union(*stated)
        }
        self._nobody = np.zeros(len(reps), dtype=bool)
        self.unstated: Flags = np.array([not words for words in stated], dtype=bool)

    def any_of(self, words: frozenset[str]) -> Flags:
        """Who says at least one of the words."""
        found = [self._by_word[word] for word in words if word in self._by_word]
        return np.logical_or.reduce(found) if found else self._nobody

    def all_of(self, words: frozenset[str]) -> Flags:
        """Who says every one of them."""
        return np.logical_and.reduce([self._by_word.get(word, self._nobody) for word in words])


class RuleTest:
    """One hard rule against the whole roster."""

    def __init__(self, rule: HardRule, reps: Sequence[Rep]) -> None:
        self.rule = rule
        self._always = members(reps, rule.reps) if rule.reps else None
        column = rule.rep or rule.lead
        self._words: Words | None = None
        self._numbers: Floats = np.empty(0)
        if column is not None and rule.must in ("at_least", "at_most"):
            self._numbers = np.array([number_in(rep.value(column)) for rep in reps])
        elif column is not None:
            self._words = Words(reps, lambda rep: rep.value(column))

    def passes(self, lead: Mapping[str, Any]) -> Flags | None:
        """Who passes, shape (n_reps,); None where the rule is not about this lead."""
        if not holds(self.rule.when, lead.get):
            return None
        if self._always is not None:
            return self._always
        value = lead.get(self.rule.lead or "")
        return self._worded(self._words, said(value)) if self._words else self._numbered(number_in(value))

    def _worded(self, stated: Words, asked: frozenset[str]) -> Flags | None:
        if not asked:
            return None  # the lead does not say
        match self.rule.must:
            case "include_all":
                fits = stated.all_of(asked)
            case "differ":
                fits = ~stated.any_of(asked)
            case _:
                fits = stated.any_of(asked)
        return fits | stated.unstated if self.rule.unstated == "passes" else fits & ~stated.unstated

    def _numbered(self, asked: float) -> Flags | None:
        if asked != asked:
            return None
        fits = self._numbers >= asked if self.rule.must == "at_least" else self._numbers <= asked
        return fits | np.isnan(self._numbers) if self.rule.unstated == "passes" else fits
