"""Routes of the rule book."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from data.store import policies
from data.store.ledger import Connection
from serving.deciding import books
from serving.telling import answers
from serving.web.api import PolicyIn
from serving.web.asked import caller_of, json_reply, parts_of
from serving.web.auth import EVERY_ROLE, Rules, keys_of
from serving.web.problems import Problem

router = APIRouter(tags=["rules"])
RULES: Rules = {
    ("GET", "/v1/policy"): EVERY_ROLE,
    ("PUT", "/v1/policy"): keys_of("manager", "admin"),
}


@router.get("/v1/policy")
def get_policy(request: Request, version: Annotated[int | None, Query(ge=0)] = None) -> Response:
    """The rule book in force, as written and as understood, the share held out now, and who changed what when and why.

    With `version`, that one (0: the default book) and what it changes of the one before it.
    """
    parts = parts_of(request)
    with parts.ledger.reading() as conn:
        in_force = parts.watch.look(conn)
        if version is not None:
            return json_reply(answers.encoded(_one_version(conn, version)))
        text, versions = books.text_of(conn, in_force.policy_version), books.history(conn)
    told = {
        "version": in_force.policy_version,
        "text": text,
        "rules": in_force.rules.model_dump(mode="json"),
        "mode": in_force.mode,
        "holdout_share": in_force.rules.holdout.share(in_force.mode, parts.clock()),
        "history": versions,
    }
    return json_reply(answers.encoded(told))


def _one_version(conn: Connection, version: int) -> dict[str, Any]:
    if version and policies.get(conn, version) is None:
        raise Problem(404, "There is no such version of the rule book.")
    return {"version": version, "text": books.text_of(conn, version)} | (
        {"difference": books.difference(conn, version - 1, version)} if version else {}
    )


@router.put("/v1/policy")
def put_policy(body: PolicyIn, request: Request) -> Response:
    """Bring a changed rule book into force; `version` is the one that it changes. One that cannot be used is refused
    with line, field and cure, and the old one stays.
    """
    caller, parts = caller_of(request), parts_of(request)
    with parts.ledger.reading() as conn:
        loaded = parts.watch.look(conn).loaded
    columns = frozenset(column.name for column in loaded.model.contract.columns) if loaded else frozenset()
    made = books.activate(
        parts.ledger,
        body.text,
        actor=caller.actor,
        why=body.why,
        at=parts.clock(),
        model_columns=columns,
        expected=body.version,
    )
    return json_reply(answers.encoded(made))
