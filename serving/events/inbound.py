"""What a CRM's own webhooks say, as outcome events: HubSpot's property changes, and events in our own form."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from data.store.outcomes import OutcomeEvent
from data.store.sources import Source
from serving.events import secret_sources
from serving.events.signing import hubspot_is_genuine, standard_is_genuine
from serving.web.api import Event, Events
from serving.web.problems import FieldError, Problem, invalid
from serving.web.text import clean_id

EVENTS: TypeAdapter[Event | list[Event]] = TypeAdapter(Events)
CHANGES = ("contact.propertyChange", "object.propertyChange")
OWNER = "hubspot_owner_id"
# What a value of a property means, unless the source's options say otherwise (option `property.value`).
MEANINGS = {
    "lifecyclestage.marketingqualifiedlead": "qualified",
    "lifecyclestage.salesqualifiedlead": "qualified",
    "lifecyclestage.opportunity": "qualified",
    "lifecyclestage.customer": "won",
    "hs_lead_status.CONNECTED": "contacted",
    "hs_lead_status.UNQUALIFIED": "lost",
}
TOLD = ("contacted", "qualified", "won", "lost", "reopened")  # what an option may make of a value
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def is_genuine(
    source: Source, headers: Mapping[str, str], body: bytes, *, method: str, uri: str, home: Path, now: datetime
) -> bool:
    """Whether the source signed this body just now, with one of its secrets.

    Raises InputError where its secrets cannot be read here.
    """
    secrets = [secret_sources.read(one, home) for one in source.secrets_from]
    if source.kind == "hubspot":
        address = str(source.options.get("public_url", uri))  # as HubSpot called it, before any proxy of ours
        return hubspot_is_genuine(headers, method, address, body, secrets, now_s=now.timestamp())
    return standard_is_genuine(headers, body, secrets, now_s=now.timestamp())


def events_of(source: Source, body: bytes) -> list[OutcomeEvent]:
    """What the message says, as far as it concerns us. Raises Problem for one that cannot be read."""
    said = json.loads(body)
    return _from_hubspot(source, said) if source.kind == "hubspot" else _in_our_form(said)


def _in_our_form(said: Any) -> list[OutcomeEvent]:
    try:
        events = EVENTS.validate_python(said)
    except ValidationError as error:
        raise invalid(error.errors()) from None
    return [event.outcome() for event in (events if isinstance(events, list) else [events])]


def _from_hubspot(source: Source, said: Any) -> list[OutcomeEvent]:
    if not isinstance(said, list):
        raise Problem(422, "HubSpot sends a list.", [FieldError("body", "must be a list")])
    found = []
    for place, change in enumerate(said):
        try:
            event = _of_change(source, change)
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError):
            # The parts that we need are missing or of another kind; what stood there is not repeated.
            raise Problem(422, "A change cannot be read.", [FieldError(f"[{place}]", "is no change")]) from None
        if event is not None:
            found.append(event)
    return found


def _of_change(source: Source, change: Mapping[str, Any]) -> OutcomeEvent | None:
    """The event that a property's change stands for; None for one that means nothing to us, or was our own."""
    if change["subscriptionType"] not in CHANGES or _is_ours(source, change):
        return None
    name, value = str(change["propertyName"]), str(change.get("propertyValue") or "")
    known: dict[str, Any] = {
        "event_id": clean_id(f"hubspot {change['eventId']} {change['objectId']} {name} {change['occurredAt']}"),
        "lead_id": clean_id(str(change["objectId"])),
        "occurred_at": EPOCH + timedelta(milliseconds=int(change["occurredAt"])),
    }
    if name == OWNER:
        return OutcomeEvent(**known, event="owner_changed", rep_id=_rep_of(source, value))
    meaning = source.options.get(f"{name}.{value}", MEANINGS.get(f"{name}.{value}"))
    return OutcomeEvent(**known, event=meaning) if meaning in TOLD else None


def _is_ours(source: Source, change: Mapping[str, Any]) -> bool:
    """Whether the application that we write back with made the change (option `app_id`)."""
    ours = source.options.get("app_id")
    return ours is not None and change.get("changeSource") == "INTEGRATION" and str(change.get("sourceId")) == str(ours)


def _rep_of(source: Source, owner_id: str) -> str | None:
    """The rep whose id in the CRM this is: options `owner.REP`, the same as a write-back's; None: nobody, a queue."""
    for name, theirs in source.options.items():
        if name.startswith("owner.") and str(theirs) == owner_id:
            return name.removeprefix("owner.")
    return clean_id(owner_id) if owner_id else None


def meanings_of(options: Mapping[str, Any]) -> Sequence[str]:
    """Options that make of a value what no event is."""
    values = {name: value for name, value in options.items() if name.startswith(("lifecyclestage.", "hs_lead_status."))}
    return [name for name, value in values.items() if value not in TOLD]
