"""What a request may hold. The types refuse what the ledger or the model could not take; messages name the field."""

import math
import re
from datetime import UTC, date, datetime
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    PlainValidator,
    Tag,
    WithJsonSchema,
    model_validator,
)

from data.roster import Rep
from data.store.outcomes import EVENTS, OutcomeEvent
from serving.policy.hours import parse_hours, zone
from serving.web.text import clean_id, clean_text

MOST_ATTRIBUTES, MOST_ITEMS = 300, 200
MOST_LEADS, MOST_EVENTS, MOST_REPS = 1_000, 5_000, 10_000
PLAIN_DATE = re.compile(r"\d{4}-\d\d-\d\d")
CLOCK_WITHOUT_OFFSET = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d+)?)?")


def moment(value: object) -> datetime:
    """An instant in UTC from ISO 8601 with an offset."""
    if not isinstance(value, str):
        raise ValueError("must be a time such as 2026-03-02T09:30:00+08:00")
    try:
        parsed = datetime.fromisoformat(value)
    except ValueError:
        raise ValueError("is not a time such as 2026-03-02T09:30:00+08:00") from None
    if parsed.tzinfo is None:
        raise ValueError("needs an offset from UTC, such as Z or +08:00")
    if not 1970 < parsed.year < 2200:
        raise ValueError("must lie between the years 1971 and 2199")
    return parsed.astimezone(UTC)


def day_or_moment(value: object) -> datetime:
    """An instant; a plain date, such as of hiring, is its midnight in UTC."""
    if isinstance(value, str) and PLAIN_DATE.fullmatch(value):
        return moment(f"{value}T00:00:00Z")
    return moment(value)


def attribute(value: object) -> Any:
    """A lead's or rep's attribute: a finite number, a text, a flag, nothing, or a list of these."""
    if isinstance(value, list):
        if len(value) > MOST_ITEMS:
            raise ValueError(f"must have at most {MOST_ITEMS} items")
        if any(isinstance(item, list) for item in value):
            raise ValueError("must not hold a list in a list")
        return [attribute(item) for item in value]
    if isinstance(value, str):
        if CLOCK_WITHOUT_OFFSET.fullmatch(value):
            raise ValueError("needs an offset from UTC, such as Z or +08:00")
        return clean_text(value)
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, int | float):
        if not math.isfinite(value) or abs(value) > 1e15:
            raise ValueError("must be a finite number of at most 15 digits")
        return value
    raise ValueError("must be a number, a text, true or false, null, or a list of these")


def texts(value: object) -> tuple[str, ...]:
    """Several names: a list, or one text with `;` between."""
    items = value.split(";") if isinstance(value, str) else value
    if not isinstance(items, list | tuple) or len(items) > MOST_ITEMS:
        raise ValueError(f"must be a list of at most {MOST_ITEMS} texts, or one text with ; between")
    return tuple(name for item in items if (name := clean_text(item).strip()))


def working_hours(value: object) -> str:
    """Hours that `parse_hours` reads."""
    text = clean_text(value)
    parse_hours(text)
    return text


def time_zone(value: object) -> str:
    """A time zone that exists here."""
    return zone(clean_text(value)).key


TEXT_SCHEMA = WithJsonSchema({"type": "string"})
Id = Annotated[str, PlainValidator(clean_id), TEXT_SCHEMA]
Line = Annotated[str, PlainValidator(clean_text), TEXT_SCHEMA]
Moment = Annotated[datetime, PlainValidator(moment), WithJsonSchema({"type": "string", "format": "date-time"})]
Day = Annotated[datetime, PlainValidator(day_or_moment), WithJsonSchema({"type": "string", "format": "date-time"})]
Attribute = Annotated[Any, PlainValidator(attribute), WithJsonSchema({})]
Texts = Annotated[
    tuple[str, ...], PlainValidator(texts), WithJsonSchema({"type": "array", "items": {"type": "string"}})
]
Hours = Annotated[str, PlainValidator(working_hours), TEXT_SCHEMA]
ZoneName = Annotated[str, PlainValidator(time_zone), TEXT_SCHEMA]
Count = Annotated[int, Field(strict=True, ge=0, le=1_000_000)]
MOST_VERSION = 2**31 - 1  # what both databases take for an integer
Flag = Annotated[bool, Field(strict=True)]


class Body(BaseModel):
    """A request's body: no field that we do not know, no number that is not finite."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, hide_input_in_errors=True)


class _WithAttributes(BaseModel):
    """Known columns and any others beside them."""

    model_config = ConfigDict(extra="allow", frozen=True, allow_inf_nan=False, hide_input_in_errors=True)
    __pydantic_extra__: dict[str, Attribute]

    @model_validator(mode="before")
    @classmethod
    def _few_plain_names(cls, value: Any) -> Any:
        if isinstance(value, dict):
            if len(value) > MOST_ATTRIBUTES:
                raise ValueError(f"must have at most {MOST_ATTRIBUTES} attributes")
            for name in value:
                clean_id(name)
        return value


class Lead(_WithAttributes):
    """A lead: flat, the columns of the data set."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"lead_id": "L-1", "created_at": "2026-03-02T09:30:00Z", "source": "web"}]}
    )

    lead_id: Id
    created_at: Moment | None = None
    customer_id: Id | None = None

    def columns(self) -> dict[str, Any]:
        """The lead as the model and the ledger take it."""
        known = {"lead_id": self.lead_id, "created_at": self.created_at, "customer_id": self.customer_id}
        return {name: value for name, value in known.items() if value is not None} | dict(self.model_extra or {})


class ScoreIn(Body):
    """`POST /v1/score`."""

    lead: Lead
    rep_ids: Annotated[list[Id], Field(max_length=MOST_REPS)] | None = None
    top_k: Annotated[int, Field(strict=True, ge=1, le=100)] = 5


class AssignIn(Body):
    """`POST /v1/assign`."""

    lead: Lead
    dry_run: Flag = False


class BatchIn(Body):
    """`POST /v1/assign/batch`; each lead is looked at by itself, so that one mistake does not stop the others."""

    leads: Annotated[
        list[Annotated[Any, WithJsonSchema({"type": "object"})]], Field(min_length=1, max_length=MOST_LEADS)
    ]


class OverrideIn(Body):
    """`POST /v1/decisions/{id}/override`."""

    rep_id: Id
    reason: Line
    version: Annotated[int, Field(strict=True, ge=1, le=MOST_VERSION)]
    force: Flag = False


class Event(Body):
    """Something that happened to a lead."""

    event_id: Id
    lead_id: Id
    event: Literal[EVENTS]  # type: ignore[valid-type]  # the ledger's own tuple of names
    occurred_at: Moment
    value: Annotated[float, Field(strict=True, ge=0, le=1e15)] | None = None
    reason: Line | None = None
    rep_id: Id | None = None
    into: Id | None = None

    @model_validator(mode="after")
    def _named_where_needed(self) -> Self:
        if self.event == "merged" and self.into in (None, self.lead_id):
            raise ValueError("merged needs into, the lead that stays")
        return self

    def outcome(self) -> OutcomeEvent:
        """The event as the ledger takes it."""
        return OutcomeEvent(**{name: getattr(self, name) for name in type(self).model_fields})


Events = Annotated[
    Annotated[Event, Tag("one")] | Annotated[list[Event], Field(min_length=1, max_length=MOST_EVENTS), Tag("list")],
    Discriminator(lambda value: "list" if isinstance(value, list) else "one"),
]


class RepFields(_WithAttributes):
    """What can be said of a rep, without the id."""

    name: Line | None = None
    team: Line | None = None
    region: Line | None = None
    regions: Texts = ()
    skills: Texts = ()
    languages: Texts = ()
    hired_at: Day | None = None
    left_at: Day | None = None
    active: Flag = True
    capacity: Count | None = None
    daily_limit: Count | None = None
    open_count: Count = 0
    time_zone: ZoneName = "UTC"
    hours: Hours | None = None
    absent_from: Moment | None = None
    absent_until: Moment | None = None

    @model_validator(mode="after")
    def _times_in_order(self) -> Self:
        if self.absent_from and self.absent_until and self.absent_until <= self.absent_from:
            raise ValueError("absent_until must be later than absent_from")
        return self


class RepIn(RepFields):
    """A rep of `PUT /v1/reps`."""

    rep_id: Id

    def rep(self) -> Rep:
        """The rep as the rest of the house knows her."""
        known = {name: getattr(self, name) for name in type(self).model_fields}
        return Rep(**known, attributes=dict(self.model_extra or {}))


class RosterIn(Body):
    """`PUT /v1/reps`: the whole roster."""

    reps: Annotated[list[RepIn], Field(max_length=MOST_REPS)]


class RepPatch(RepFields):
    """`PATCH /v1/reps/{id}`: only what changes."""

    @model_validator(mode="before")
    @classmethod
    def _never_the_id(cls, value: Any) -> Any:
        if isinstance(value, dict):
            if not value:
                raise ValueError("names nothing to change")
            if "rep_id" in value:
                raise ValueError("rep_id cannot be changed; add the rep under the other id with PUT /v1/reps")
        return value

    def changes(self) -> dict[str, Any]:
        """The fields that were given; others under `attributes`."""
        given = {name: getattr(self, name) for name in self.model_fields_set if name in type(self).model_fields}
        return given | ({"attributes": dict(self.model_extra)} if self.model_extra else {})


class ClaimIn(Body):
    """`POST /v1/pool/{lead_id}/claim`: who claims; a rep's key claims for herself. A manager may name the client."""

    rep_id: Id | None = None
    client: Id | None = None


class HandOverIn(Body):
    """`POST /v1/reps/{rep_id}/hand-over`: why, and which of her open leads; all where none are named."""

    reason: Line
    lead_ids: Annotated[list[Id], Field(min_length=1, max_length=MOST_LEADS)] | None = None


class PolicyIn(Body):
    """`PUT /v1/policy`: the rule book's text, and why it is changed."""

    text: Annotated[str, Field(strict=True, max_length=65_536)]
    why: Line
    version: Annotated[int, Field(strict=True, ge=0, le=MOST_VERSION)]


def as_json(value: Any) -> Any:
    """A value that json.dumps does not know, as text."""
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    if isinstance(value, date):
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} has no JSON form")
