"""Where CRMs send their own webhooks: no key, but a signature over every byte."""

from datetime import timedelta
from typing import Any

from anyio import to_thread
from fastapi import APIRouter, Request
from starlette.responses import Response

from data.errors import InputError
from data.store import outcomes, sources
from serving.events import inbound
from serving.running.parts import Parts
from serving.telling import answers
from serving.web.asked import json_reply, parts_of
from serving.web.auth import WHO_SIGNS, Rules
from serving.web.problems import Problem, retry_later

router = APIRouter(tags=["webhooks"])
RULES: Rules = {("POST", "/v1/hooks/{source_id}"): WHO_SIGNS}
MOST_AHEAD = timedelta(days=1)


@router.post("/v1/hooks/{source_id}")
async def receive(source_id: str, request: Request) -> Response:
    """What a CRM tells of its leads, signed by Standard Webhooks or as HubSpot does; 401 for everything else."""
    body = await request.body()
    headers = {name: request.headers[name] for name in request.headers}
    return json_reply(
        await to_thread.run_sync(_received, parts_of(request), source_id, headers, body, str(request.url))
    )


def _received(parts: Parts, source_id: str, headers: dict[str, str], body: bytes, uri: str) -> bytes:
    now = parts.clock()
    with parts.ledger.reading() as conn:
        source = sources.find(conn, source_id) if len(source_id) <= 64 else None
    try:
        genuine = source is not None and inbound.is_genuine(
            source, headers, body, method="POST", uri=uri, home=parts.home, now=now
        )
    except InputError:
        raise retry_later(503, "The secret of this source cannot be read here; see `leadmatch sources list`.") from None
    if source is None or not genuine:
        raise Problem(401, "The message is not signed by a source of this address, or not now.")
    # An event of the day after tomorrow would outlast every true one.
    events = [event for event in inbound.events_of(source, body) if event.occurred_at <= now + MOST_AHEAD]
    with parts.ledger.writing() as tx:
        results = outcomes.receive(tx, source.client_id, events, at=now)
    told: list[dict[str, Any]] = [
        {"event_id": event.event_id, "lead_id": event.lead_id, "result": result}
        for event, result in zip(events, results, strict=True)
    ]
    return answers.encoded({"results": told})
