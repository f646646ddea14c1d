"""What the commands of the rule book and of follow-up say to a person when nobody asked for JSON."""

from typing import Any

from pipelines.console import OUT, table


def policy(made: dict[str, Any]) -> None:
    """The rule book's text, as it is."""
    OUT.out(made["text"], highlight=False, end="")


def policy_checked(made: dict[str, Any]) -> None:
    """That it can be used."""
    OUT.print(f"{made['file']} can be used (checked against {made['against']}).")


def policy_activated(made: dict[str, Any]) -> None:
    """What is in force now, and what it changes."""
    OUT.print(f"{made['file']} is in force as version {made['version']}.")
    _changed(made["changed"])


def policy_history(made: dict[str, Any]) -> None:
    """Every version."""
    rows = [
        [one["version"], f"{one['at']:%Y-%m-%d %H:%M}", one["actor"], one["why"], _fields(one["changed"])]
        for one in made["versions"]
    ]
    table("Versions of the rule book", ["version", "at (UTC)", "by", "why", "changed"], rows)
    if not rows:
        OUT.print("The default rule book is in force; nobody has activated another one.")


def policy_diff(made: dict[str, Any]) -> None:
    """Field by field, then line by line."""
    if not made["changed"]:
        OUT.print(f"Version {made['after']} decides as version {made['before']} does.")
    _changed(made["changed"])
    OUT.out(made["lines"], highlight=False)


def swept(made: dict[str, int]) -> None:
    """How often each step was taken."""
    done = [f"{count} {step.replace('_', ' ')}" for step, count in made.items() if count]
    OUT.print(", ".join(done) if done else "Nothing was due.")


def handed_over(made: dict[str, Any]) -> None:
    """Who has each lead now."""
    rows = [[lead["lead_id"], lead["rep_id"] or lead["unassigned_reason"]] for lead in made["leads"]]
    if not rows:
        OUT.print(f"{made['rep_id']} has no open leads.")
        return
    table(f"Leads of {made['rep_id']}", ["lead", "now with"], rows)


def _changed(changed: list[dict[str, Any]]) -> None:
    rows = [[one["field"], str(one["before"]), str(one["after"])] for one in changed]
    if rows:
        table("What it changes", ["field", "before", "after"], rows)


def _fields(changed: list[dict[str, Any]] | None) -> str:
    return "?" if changed is None else ", ".join(one["field"] for one in changed) or "words only"
