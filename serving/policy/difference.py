"""What one version of the rule book changes of another."""

import difflib
from typing import Any

from serving.policy.sections import RuleBook


def changed_fields(before: RuleBook, after: RuleBook) -> list[dict[str, Any]]:
    """Every field that reads otherwise: its name, what it was and what it is, in the order of the book."""
    old, new = _flat(before.model_dump(mode="json")), _flat(after.model_dump(mode="json"))
    return [
        {"field": name, "before": old.get(name), "after": new.get(name)}
        for name in dict.fromkeys([*new, *old])
        if old.get(name) != new.get(name)
    ]


def changed_lines(before: str, after: str, *, names: tuple[str, str]) -> str:
    """The two texts as a unified difference; empty where they are the same."""
    told = difflib.unified_diff(before.splitlines(), after.splitlines(), *names, lineterm="", n=2)
    return "\n".join(told)


def _flat(content: Any, path: str = "") -> dict[str, Any]:
    """Leaves by their dotted names; list items count from 1, as in the messages of the checker."""
    if isinstance(content, dict) and content:
        items = [(str(name), value) for name, value in content.items()]
    elif isinstance(content, list) and content and any(isinstance(item, dict) for item in content):
        items = [(str(place), value) for place, value in enumerate(content, start=1)]
    else:
        return {path: content}
    leaves: dict[str, Any] = {}
    for name, value in items:
        leaves |= _flat(value, f"{path}.{name}" if path else name)
    return leaves
