"""Who sees the person behind a lead: its own client and rep, managers and admins; others see that there is one."""

from collections.abc import Mapping
from typing import Any

HIDDEN = "***"
SEEING = ("crm", "rep", "manager", "admin")  # a client's key sees only its own leads, a rep's only hers
FREE_TEXT = ("feedback", "lost_reason", "reason")  # may name anybody


def person(data: Mapping[str, Any], role: str) -> dict[str, Any]:
    """The personal data as this role sees them.

    >>> person({"name": "Wang Fang"}, "analyst")
    {'name': '***'}
    """
    return dict(data) if role in SEEING else dict.fromkeys(data, HIDDEN)


def without_names(told: Mapping[str, Any], role: str) -> dict[str, Any]:
    """What was written down as free text, hidden from those who do not see the person."""
    if role in SEEING:
        return dict(told)
    return {name: HIDDEN if name in FREE_TEXT and value else value for name, value in told.items()}
