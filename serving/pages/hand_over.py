"""Match chosen leads again: for each the likeliest other rep who has room, as a proposal that a person confirms."""

from collections import Counter
from dataclasses import dataclass
from typing import Any

from anyio import to_thread
from fastapi import APIRouter, Request
from starlette.responses import Response

from data.store import listing
from serving.pages.assignments import Row, named
from serving.pages.render import page
from serving.pages.visitor import MANAGERS, PageRules, ask, form_of, parts_of
from serving.web.problems import Problem
from serving.web.text import clean_text

router = APIRouter()
RULES: PageRules = {
    ("GET", "/assignments/hand-over"): MANAGERS,
    ("POST", "/assignments/hand-over"): MANAGERS,
}
MOST = 50
OPEN = ("open", "unassigned", "recycled")


@dataclass(frozen=True)
class Proposal:
    """One lead, who has it, and who could get it."""

    row: Row
    to: str | None
    to_name: str | None
    probability: float | None
    gain: float | None  # over the rep who has it, where both are known


@router.get("/assignments/hand-over")
async def propose(request: Request) -> Response:
    """A proposal for each chosen lead; nothing is changed yet."""
    ids = request.query_params.getlist("ids")[:MOST]
    rows = await to_thread.run_sync(_rows, request, ids)
    proposals = await _proposals(request, [row for row in rows if row.listed.status in OPEN])
    return page(request, "hand_over.html", proposals=proposals, results=None)


@router.post("/assignments/hand-over")
async def hand_over(request: Request) -> Response:
    """Override each chosen decision, through the interface; one refusal does not stop the others."""
    form = await form_of(request)
    ids = form.get("ids", "").split("\n")[:MOST]
    reason = clean_text(form.get("reason", "")).strip() or "matched again"
    rows = {row.listed.decision_id: row for row in await to_thread.run_sync(_rows, request, ids)}
    results: list[tuple[Row, str | None]] = []
    for decision_id, row in rows.items():
        rep_id, version = form.get(f"to-{decision_id}", ""), form.get(f"version-{decision_id}", "")
        if not rep_id or not version.isdecimal():
            continue
        body = {"rep_id": rep_id, "reason": reason, "version": int(version)}
        try:
            await ask(request, "POST", f"/v1/decisions/{decision_id}/override", body)
        except Problem as problem:
            results.append((row, problem.detail))
        else:
            results.append((row, None))
    return page(request, "hand_over.html", proposals=[], results=results)


def _rows(request: Request, ids: list[str]) -> list[Row]:
    parts = parts_of(request)
    with parts.ledger.reading() as conn:
        known = listing.rows_of(conn, [each for each in dict.fromkeys(ids) if 0 < len(each) <= 64])
        return named(conn, known, parts.watch.look(conn).roster.reps)


async def _proposals(request: Request, rows: list[Row]) -> list[Proposal]:
    """The likeliest other rep with room for each lead; a slot that one lead takes is not offered to the next."""
    roster = {rep["rep_id"]: rep for rep in (await ask(request, "GET", "/v1/reps"))["reps"]}
    taken: Counter[str] = Counter()
    found = []
    for row in rows:
        told = await ask(request, "GET", f"/v1/decisions/{row.listed.decision_id}")
        scored = await ask(request, "POST", "/v1/score", {"lead": told["lead"] | {"lead_id": row.listed.lead_id}})
        now = next((rep for rep in scored["reps"] if rep["rep_id"] == row.listed.rep_id), None)
        free = (
            rep
            for rep in scored["reps"]
            if rep["available"] and rep["rep_id"] != row.listed.rep_id and _room(roster[rep["rep_id"]], taken)
        )
        best: dict[str, Any] | None = next(free, None)
        if best is None:
            found.append(Proposal(row, None, None, None, None))
            continue
        taken[best["rep_id"]] += 1
        known = now is not None and now["probability"] is not None and best["probability"] is not None
        gain = best["probability"] - now["probability"] if known and now is not None else None
        name = best["rep_name"] or best["rep_id"]
        found.append(Proposal(row, best["rep_id"], name, best["probability"], gain))
    return found


def _room(rep: dict[str, Any], taken: Counter[str]) -> bool:
    here = taken[rep["rep_id"]]
    below = rep["capacity"] is None or rep["open_leads"] + here < rep["capacity"]
    return below and (rep["daily_limit"] is None or rep["leads_today"] + here < rep["daily_limit"])
