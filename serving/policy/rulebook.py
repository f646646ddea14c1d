"""The rule book: policy.yaml as a checked, frozen record, with messages that name the line and the field."""

from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from data.errors import InputError

DEFAULT_PATH = Path(__file__).with_name("default.yaml")
MAX_CHARACTERS = 65_536

Share = Annotated[float, Field(ge=0, le=0.9)]
Minutes = Annotated[int, Field(ge=1, le=60 * 24 * 90)]
PlainMethodName = Literal[
    "rotation", "weighted_rotation", "region_first", "tags", "ability_tags", "workload", "performance",
    "value_tiers", "points_queue",
]  # fmt: skip
MethodName = Literal[
    "model", "rotation", "weighted_rotation", "region_first", "tags", "ability_tags", "workload", "performance",
    "value_tiers", "points_queue",
]  # fmt: skip


class Section(BaseModel):
    """A part of the rule book: frozen, and no field that we do not know."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Holdout(Section):
    """Share of the leads left to the control, by mode."""

    live: Share = 0.10
    trial: Share = 0.50


class HardRules(Section):
    """Which hard rules apply."""

    region: bool = True
    working_hours: bool = True


class Prices(Section):
    """What shapes the prices of the reps' next slots."""

    enabled: bool = True
    floor: Annotated[float, Field(ge=0, le=1)] = 0.5
    ceiling: Annotated[float, Field(ge=1, le=1000)] = 1.3
    slot_days: Annotated[float, Field(gt=0, le=3650)] = 14


class ContactWithin(Section):
    """Minutes until a lead should have been contacted, by its grade."""

    A: Minutes = 30
    B: Minutes = 120
    C: Minutes = 480
    D: Minutes = 1440
    unknown: Minutes = 120

    def minutes(self, grade: str | None) -> int:
        """Minutes for `grade`; those of `unknown` where there is no grade."""
        return int(getattr(self, grade)) if grade in ("A", "B", "C", "D") else self.unknown


class RuleBook(Section):
    """How leads are given out. default.yaml explains every field."""

    objective: Literal["conversions"] = "conversions"
    mode: Literal["auto", "live", "trial", "shadow"] = "auto"
    holdout: Holdout = Holdout()
    method: MethodName = "model"
    control: PlainMethodName = "rotation"
    fallback: PlainMethodName = "rotation"
    weights: dict[str, Annotated[float, Field(ge=0, le=1000)]] = {}
    eligibility: HardRules = HardRules()
    exploration: Literal["auto", "learn", "earn"] = "auto"
    prices: Prices = Prices()
    contact_within_minutes: ContactWithin = ContactWithin()
    language: Literal["en", "zh"] = "en"
    seed: int = 1

    @model_validator(mode="after")
    def _weights_have_a_use(self) -> "RuleBook":
        if self.weights and "weighted_rotation" not in (self.method, self.control, self.fallback):
            raise ValueError("weights are given, but no method here is weighted_rotation")
        return self

    def mode_for(self, verdict: str | None) -> Literal["live", "trial", "shadow"]:
        """The mode in force, given the model's verdict (None: no model)."""
        if self.mode != "auto":
            return self.mode
        return "trial" if verdict == "unconfirmed" else "live"


def parse_rule_book(text: str) -> RuleBook:
    """The rule book in `text`; InputError names line and field of everything that cannot be used."""
    if len(text) > MAX_CHARACTERS:
        raise InputError(f"The rule book has {len(text)} characters, at most {MAX_CHARACTERS} are read.")
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        lines = _lines(root, text)
        content = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise InputError(f"The rule book is not readable YAML: {_yaml_problem(error)}") from None
    except RecursionError:
        raise InputError("The rule book is nested too deeply; see `leadmatch policy show`.") from None
    if content is None:
        content = {}
    if not isinstance(content, dict):
        raise InputError("The rule book must be a list of `field: value` lines; see `leadmatch policy show`.")
    try:
        return RuleBook.model_validate(content)
    except ValidationError as error:
        problems = [_problem(entry, lines) for entry in error.errors(include_url=False)]
        raise InputError("The rule book cannot be used: " + "; ".join(problems)) from None


@lru_cache(maxsize=1)
def default_rule_book() -> RuleBook:
    """The rule book that is in force until somebody activates another one."""
    return parse_rule_book(DEFAULT_PATH.read_text(encoding="utf-8"))


def _lines(root: yaml.Node | None, text: str) -> dict[tuple[str, ...], int]:
    """The line of every field. Refuses aliases and repeated fields, which YAML would let pass silently."""
    if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text, Loader=yaml.SafeLoader)):
        raise InputError("The rule book uses a YAML alias (`*name`); write the value out.")
    lines: dict[tuple[str, ...], int] = {(): 1}

    def walk(node: yaml.Node, path: tuple[str, ...], line: int) -> None:
        lines[path] = line
        if not isinstance(node, yaml.MappingNode):
            return
        for key, value in node.value:
            here = (*path, str(key.value))
            if here in lines:
                raise InputError(
                    f"The rule book cannot be used: line {key.start_mark.line + 1}: "
                    f"{'.'.join(here)}: given twice, first on line {lines[here]}"
                )
            walk(value, here, key.start_mark.line + 1)

    if root is not None:
        walk(root, (), 1)
    return lines


def _problem(entry: Any, lines: dict[tuple[str, ...], int]) -> str:
    path = tuple(str(part) for part in entry["loc"] if part != "[key]")
    known = path
    while known not in lines:
        known = known[:-1]
    message = str(entry["msg"]).removeprefix("Value error, ").removeprefix("Input ")
    if entry["type"] == "extra_forbidden":
        message = "there is no such field"
    field = ".".join(path) or "rule book"
    return f"line {lines[known]}: {field}: {message}"


def _yaml_problem(error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None) or "a character that YAML does not allow"
    return f"line {mark.line + 1}: {problem}" if mark else str(problem)
