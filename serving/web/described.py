"""What `/openapi.json` says beyond what the framework sees: the errors of every route, and what a decision holds."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from http import HTTPStatus
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict
from pydantic.json_schema import models_json_schema

from serving.web.auth import EVERY_ROLE, Rule, Rules
from serving.web.guard import WITH_BODY
from serving.web.problems import MEDIA_TYPE

UNLISTED = ("HTTPValidationError", "ValidationError")  # the framework's own errors, which nobody is sent
REF = "#/components/schemas/{model}"
STORES_NOTHING = {"/v1/score", "/v1/policy/replay"}
LOOKS_UP = ("GET", "/v1/policy")  # a version that the query names; the others that look one up have it in their path
RETRY = {"Retry-After": {"description": "Seconds until another try may do better.", "schema": {"type": "integer"}}}


class _Told(BaseModel):
    """Every field is there in each answer; others may come beside them."""

    model_config = ConfigDict(protected_namespaces=())


class FieldProblem(_Told):
    """One field at fault, never with what stood in it."""

    field: str
    problem: str


class Problem(_Told):
    """An error, as RFC 9457 has it."""

    type: Literal["about:blank"]
    title: str
    status: int
    detail: str
    errors: list[FieldProblem]
    request_id: str


class Uplift(_Told):
    """In probability, over rotation among the eligible; null where no model had a say."""

    value: float | None
    low: float | None
    high: float | None


class Reason(_Told):
    """A part of an uplift, in probability."""

    feature: str
    contribution: float
    kind: str
    text: str


class Over(_Told):
    """Why this rep rather than another, and by how much."""

    rep_id: str
    uplift: float | None
    text: str
    price_decided: bool


class Alternative(_Told):
    """A rep who could have got the lead."""

    rep_id: str
    rep_name: str | None
    probability: float
    uplift: float
    available: bool


class ScoredRep(_Told):
    """An eligible rep, and how likely the lead converts with her."""

    rep_id: str
    rep_name: str | None
    available: bool
    probability: float | None
    uplift: Uplift
    reasons: list[Reason]


class _OfLead(_Told):
    lead_id: str
    baseline_probability: float | None
    lead_score: int | None
    grade: str | None
    excluded: dict[str, int]
    degraded: str | None
    warnings: list[str]
    model_version: str | None
    policy_version: str


class Score(_OfLead):
    """The eligible reps, best first; nothing is stored."""

    reps: list[ScoredRep]
    lead_reasons: list[Reason]


class Decision(_OfLead):
    """Who got the lead, by which arm and why; without a rep, `unassigned_reason` says so."""

    decision_id: str | None
    rep_id: str | None
    rep_name: str | None
    arm: str
    probability: float | None
    uplift: Uplift
    propensity: float | None
    reasons: list[Reason]
    over: Over | None
    alternatives: list[Alternative]
    duplicate_of: str | None
    unassigned_reason: str | None
    contact_by: datetime | None
    decided_at: datetime


ANSWERS: Mapping[tuple[str, str], type[BaseModel]] = {
    ("POST", "/v1/score"): Score,
    ("POST", "/v1/assign"): Decision,
}


def described(found: dict[str, Any], rules: Rules) -> dict[str, Any]:
    """The framework's description, with the problems that each route answers with in the place of its own errors."""
    components = found["components"]["schemas"]
    for name in UNLISTED:
        components.pop(name, None)
    kinds: list[type[BaseModel]] = [Problem, *ANSWERS.values()]
    _, schemas = models_json_schema([(kind, "serialization") for kind in kinds], ref_template=REF)
    components |= schemas["$defs"]
    for path, operations in found["paths"].items():
        for verb, operation in operations.items():
            call = (verb.upper(), path)
            told = {"200": operation["responses"]["200"]}
            if call in ANSWERS:
                told["200"]["content"] = {"application/json": {"schema": _schema(ANSWERS[call])}}
            problems = sorted(_problems(call, operation, rules[call]))
            operation["responses"] = told | {str(status): _problem(status) for status in problems}
    return found


def _problems(call: tuple[str, str], operation: Mapping[str, Any], rule: Rule) -> Iterator[int]:
    """The statuses of the problems that a route can answer with."""
    method, path = call
    yield from (500, 503, 504)
    yield 401
    keyed = rule.without_key == "nobody"
    if keyed:
        yield 429
    if keyed and rule.roles != EVERY_ROLE.roles:
        yield 403
    if method in WITH_BODY:
        yield from (400, 408, 413, 415)
    if method in WITH_BODY or operation.get("parameters"):
        yield 422
    if keyed and ("{" in path or call == LOOKS_UP):
        yield 404
    if keyed and method != "GET" and path not in STORES_NOTHING:
        yield 409


def _problem(status: int) -> dict[str, Any]:
    told = {"description": HTTPStatus(status).phrase, "content": {MEDIA_TYPE: {"schema": _schema(Problem)}}}
    return told | ({"headers": RETRY} if status in (429, 503) else {})


def _schema(kind: type[BaseModel]) -> dict[str, str]:
    return {"$ref": REF.format(model=kind.__name__)}
