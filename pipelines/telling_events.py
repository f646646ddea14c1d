"""What the commands of webhooks, privacy and backups tell a person."""

from typing import Any

from pipelines.console import OUT, table


def endpoint_added(made: dict[str, Any]) -> None:
    """A new endpoint, with the secret that nobody sees again."""
    OUT.print(f"{made['endpoint_id']}: {made['kind']} to {made['url']} ({', '.join(made['topics'])})")
    if made["secret"]:
        OUT.print(f"Secret, shown only now: {made['secret']}")


def endpoints(found: dict[str, Any]) -> None:
    """Everybody who is told."""
    rows = [
        [
            one["endpoint_id"],
            one["kind"],
            one["url"],
            ", ".join(one["topics"]),
            "yes" if one["active"] else one["why_not"],
            *(one["messages"].get(state, 0) for state in ("pending", "sent", "dead")),
        ]
        for one in found["webhooks"]
    ]
    table("Webhooks", ["id", "kind", "address", "topics", "active", "waiting", "arrived", "given up"], rows)


def dead(found: dict[str, Any]) -> None:
    """Messages that were given up."""
    names = ["message_id", "endpoint_id", "topic", "lead_id", "created_at", "attempts", "last_error"]
    table("Given up", names, [[one[name] for name in names] for one in found["dead"]])


def done(said: dict[str, Any]) -> None:
    """One line: what was done to what."""
    OUT.print(", ".join(f"{name.replace('_', ' ')}: {value}" for name, value in said.items()))


def exported(found: dict[str, Any]) -> None:
    """What is known of a lead, or where it was written to."""
    if "out" in found:
        OUT.print(f"Written to {found['out']}.")
    else:
        OUT.print_json(data=found, default=str)


def acts(found: dict[str, Any]) -> None:
    """Who did what."""
    names = ["at", "actor", "action", "object"]
    table("Acts", names, [[one[name] for name in names] for one in found["acts"]])


def sources(found: dict[str, Any]) -> None:
    """Whose signed webhooks are believed."""
    rows = [
        [one["source_id"], one["kind"], one["client_id"], ", ".join(one["secrets_from"])] for one in found["sources"]
    ]
    table("Sources", ["source_id", "kind", "client_id", "secrets_from"], rows)
