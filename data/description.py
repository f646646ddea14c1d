"""dataset.yaml: what a data set's files are called, how they are written, and what their columns mean.

A mapping for a CRM's export has the same form; `data/mappings/` holds ready ones.
"""

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, available_timezones

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, field_validator, model_validator

from data.errors import InputError
from data.names import TABLES, nearest, one_line

ANY_OTHER = "*"  # in `outcomes`: the outcome of every value that is not listed
DELIMITERS = {"comma": ",", "semicolon": ";", "tab": "\t", "\\t": "\t", "pipe": "|"}
Outcome = Literal["won", "lost", "open", "qualified"]


def _as_list(value: Any) -> Any:
    if value in (None, ""):
        return []
    return [value] if isinstance(value, str | int | float) else value


Names = Annotated[tuple[str, ...], BeforeValidator(_as_list)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def _unset(cls, given: Any) -> Any:
        """A key without a value is a key that is not there."""
        if not isinstance(given, Mapping):
            return given
        return {key: value for key, value in given.items() if value is not None and value != ""}


class Files(_Part):
    """Which file holds which table; patterns (`users*.csv`) are allowed, several files of one table too."""

    leads: Names = ()
    reps: Names = ()
    assignments: Names = ()
    flat: Names = Field(default=(), description="One row with lead, rep and outcome together.")


class Lookup(_Part):
    """A further file whose columns are joined to the leads."""

    key: str = Field(description="The leads' column that names the row to join.")
    lookup_key: str | None = Field(
        default=None, description="The same in the further file, where it is called otherwise."
    )
    columns: dict[str, Names] = Field(default={}, description="Other names for its columns: ours, then theirs.")


class OutcomeColumn(_Part):
    """One of several columns that tell the outcome together."""

    column: Names
    values: dict[str, Outcome]


class Description(_Part):
    """A data set's description; every key is optional."""

    extends: str | None = Field(default=None, description="A ready mapping, or a file, that this one adds to.")
    name: str | None = Field(default=None, description="What the data are.")
    notes: Names = Field(default=(), description="Sentences that every report about these data repeats.")
    files: Files = Files()
    lookups: dict[str, Lookup] = Field(
        default={}, description="Further files to join to the leads, by name or pattern."
    )
    delimiter: str | None = Field(
        default=None, description="Between the cells of a CSV file; found by itself if not set."
    )
    encoding: str | None = Field(default=None, description="Of CSV files; UTF-8 and GB18030 are told apart if not set.")
    decimal: Literal[".", ","] = Field(default=".", description="The decimal sign in numbers.")
    columns: dict[str, Names] = Field(
        default={}, description="Our name -> theirs, for every file of leads or assignments."
    )
    table_columns: dict[str, dict[str, Names]] = Field(default={}, description="The same for one table alone.")
    values: dict[str, dict[str, str]] = Field(default={}, description="Column -> value as written -> value meant.")
    constants: dict[str, str] = Field(default={}, description="Columns that have one value in every row.")
    missing: Names = Field(default=(), description="Further texts that mean: no value.")
    date_formats: Names = Field(
        default=(), description="strptime patterns, tried in turn; if set, nothing else is a date."
    )
    day_first: bool | None = Field(default=None, description="Whether 03/04/2024 is the third of April.")
    time_zone: str = Field(default="UTC", description="Of moments written without an offset.")
    outcomes: dict[str, Outcome] = Field(
        default={}, description="Value in the outcome column -> won, lost, open, qualified."
    )
    outcome_from: tuple[OutcomeColumn, ...] = Field(
        default=(), description="Several columns that tell the outcome together."
    )
    target: Literal["won", "qualified"] = Field(default="won", description="What counts as converted.")
    window: float | None = Field(default=None, gt=0, description="Days within which a conversion counts.")
    labels: Literal["window", "expected"] = Field(
        default="window", description="`expected`: rows too young for the window count with what is to be expected."
    )
    outcome_is_final: bool = Field(default=False, description="Every outcome was known at once: no row is too young.")
    order_by: str | None = Field(default=None, description="Without dates: a column, or `file`, whose order is time's.")
    exported_at: str | None = Field(default=None, description="When the data were taken; the latest moment if not set.")
    reps: Literal["none"] | None = Field(default=None, description="`none`: no column says who worked the lead.")
    queues: Names = Field(default=(), description="Owners that are no person, as patterns (`00G*`).")
    post_assignment: Names = Field(default=(), description="Columns filled in after the assignment: never features.")
    personal: Names = Field(default=(), description="Columns of personal data besides name, email, phone, company.")
    keep: Names = Field((), description="Columns known on arrival, whatever the leakage guard takes them for.")
    drop: Names = Field(default=(), description="Columns to leave out altogether.")
    types: dict[str, Literal["number", "category", "date", "flag", "list"]] = Field(
        default={}, description="Attribute -> its type, where the values would mislead."
    )
    currency: str | None = Field(default=None, description="Of `value`.")

    @model_validator(mode="before")
    @classmethod
    def _columns_of_one_table(cls, given: Any) -> Any:
        """`columns: {reps: {rep_id: Id}}` speaks of one table, `columns: {rep_id: Id}` of all."""
        columns = given.get("columns") if isinstance(given, Mapping) else None
        if not isinstance(columns, Mapping) or "table_columns" in given:
            return given
        own = {name: part for name, part in columns.items() if name in TABLES and isinstance(part, Mapping)}
        common = {name: part for name, part in columns.items() if name not in own}
        return {**given, "columns": common, "table_columns": own}

    @field_validator("delimiter")
    @classmethod
    def _one_character(cls, value: str | None) -> str | None:
        value = DELIMITERS.get(value, value) if value else value
        if value is not None and len(value) != 1:
            raise ValueError("should be one character, or one of " + ", ".join(DELIMITERS))
        return value

    @field_validator("date_formats")
    @classmethod
    def _readable_formats(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for pattern in value:
            try:
                datetime.strptime(datetime(2024, 3, 5).strftime(pattern), pattern)
            except ValueError:
                raise ValueError(f"should hold strptime patterns such as %d.%m.%Y; '{pattern}' is none") from None
            if "%" not in pattern:
                raise ValueError(f"should hold strptime patterns such as %d.%m.%Y; '{pattern}' is none")
        return value

    @field_validator("time_zone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        if value not in available_timezones():
            near = nearest(value, available_timezones())
            raise ValueError("should be a zone such as Europe/Berlin" + (f"; did you mean {near}?" if near else ""))
        return value

    @property
    def zone(self) -> ZoneInfo:
        """The time zone of moments written without an offset."""
        return ZoneInfo(self.time_zone)


def read_description(file: Path) -> Description:
    """The description in a YAML file, together with what it extends.

    Raises InputError with the line and, for an unknown key, the known one that is most like it.
    """
    text = _text_of(file)
    given = _mapping_in(text, file.name)
    try:
        description = Description.model_validate(given)
    except ValidationError as error:
        raise InputError(_first_problem(error, text, file.name)) from None
    return description


def _text_of(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise InputError(f"{file.name}: is not UTF-8 text; save it as UTF-8.") from None
    except OSError as error:
        raise InputError(f"{file.name}: cannot be read ({error.strerror}); check the path.") from None


def _mapping_in(text: str, name: str) -> dict[str, Any]:
    """The YAML mapping with every scalar as text: `No: lost` stays "No", `007` keeps its zeros."""
    try:
        node = yaml.compose(text, Loader=yaml.BaseLoader)
        _refuse_repeated_keys(node, name)
        given = yaml.load(text, Loader=yaml.BaseLoader)  # noqa: S506 - builds texts, lists and mappings only
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise InputError(one_line(f"{name}: line {line} is not YAML: {error.problem}; mend that line.")) from None
    except yaml.YAMLError as error:
        raise InputError(one_line(f"{name}: is not YAML: {error}; save it as plain text.")) from None
    except RecursionError:
        raise InputError(f"{name}: is nested too deeply; write it flat.") from None
    if given in (None, ""):
        return {}
    if not isinstance(given, dict):
        raise InputError(f"{name}: line 1 is not a key with a value; write lines such as 'target: won'.")
    return given


def _refuse_repeated_keys(node: yaml.Node | None, name: str) -> None:
    if isinstance(node, yaml.MappingNode):
        seen: dict[str, int] = {}
        for key, value in node.value:
            line = key.start_mark.line + 1
            if not isinstance(key, yaml.ScalarNode):
                raise InputError(f"{name}: line {line}: a key is a word, not a list; put it in quotes.")
            if key.value in seen:
                first = seen[key.value]
                raise InputError(
                    f"{name}: line {line}: '{one_line(key.value)}' stands already on line {first}; keep one."
                )
            seen[key.value] = line
            _refuse_repeated_keys(value, name)
    elif isinstance(node, yaml.SequenceNode):
        for each in node.value:
            _refuse_repeated_keys(each, name)


def _first_problem(error: ValidationError, text: str, name: str) -> str:
    problems = error.errors()
    first = problems[0]
    place = [str(part) for part in first["loc"] if part not in ("table_columns",)]
    key = place[-1] if place else ""
    line = _line_of(yaml.compose(text, Loader=yaml.BaseLoader), list(first["loc"]))
    if first["type"] == "extra_forbidden":
        known = _known_keys(place[:-1])
        near = nearest(key, known)
        said = f"unknown key '{key}'" + (f", did you mean '{near}'?" if near else f"; known are {', '.join(known)}")
    elif first["type"] == "missing":
        said = f"'{' > '.join(place[:-1])}' needs the key '{key}'"
    elif first["type"] == "literal_error":
        said = f"'{' > '.join(place)}' is one of {first['ctx']['expected']}"
    else:
        message = first["msg"].removeprefix("Value error, ").removeprefix("Input ")
        said = f"'{' > '.join(place)}' {message}"
    more = f" ({len(problems) - 1} more problems follow.)" if len(problems) > 1 else ""
    return one_line(f"{name}: line {line}: {said}{'' if said.endswith('?') else '.'}{more}")


def _known_keys(place: list[str]) -> list[str]:
    parts: dict[str, type[BaseModel]] = {"files": Files, "lookups": Lookup, "outcome_from": OutcomeColumn}
    part = parts.get(place[0], Description) if place else Description
    return [key for key in part.model_fields if key != "table_columns"]


def _line_of(node: yaml.Node | None, place: list[Any]) -> int:
    """The line where the value at `place` is written, or the nearest one around it."""
    line = node.start_mark.line + 1 if node else 1
    for part in place:
        if isinstance(node, yaml.MappingNode):
            found = [(key, value) for key, value in node.value if key.value == part]
            if found:
                line, node = found[0][0].start_mark.line + 1, found[0][1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            node = node.value[part]
            line = node.start_mark.line + 1
    return line
