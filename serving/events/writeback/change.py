"""What a message asks of a CRM, and how a CRM is spoken to."""

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import quote, urlencode

from data.errors import InputError
from data.store.endpoints import Endpoint
from data.store.outbox import Message
from serving.events.attempts import ABOUT_THE_MESSAGE, Attempt
from serving.events.outward import Answer, Outward

SCORES = ("lead_score", "grade", "probability", "uplift")
UNKNOWN_RECORD = 404  # one lead is not there: the next may be


@dataclass(frozen=True)
class Change:
    """The new owner of one record, and the scores that the endpoint has fields for."""

    record_id: str
    owner_id: str
    fields: Mapping[str, Any]


def change_of(endpoint: Endpoint, message: Message) -> Change | None:
    """What the message changes in the CRM; None where it gives the lead to nobody.

    The record is the lead's id, the owner the rep's, unless the endpoint's option `owner.REP` says who she is there.
    Option `field.lead_score=NAME` names the CRM's own field for a score; the same for grade, probability and uplift.
    """
    data = json.loads(message.body)["data"]
    rep_id = data.get("rep_id")
    if message.lead_id is None or rep_id is None:
        return None
    named = {name: endpoint.options.get(f"field.{name}") for name in SCORES}
    fields = {field: data[name] for name, field in named.items() if field and data.get(name) is not None}
    return Change(message.lead_id, str(endpoint.options.get(f"owner.{rep_id}", rep_id)), fields)


def credentials_of(secret: str, *needed: str) -> dict[str, str]:
    """The credentials as an object; a bare token stands for {"token": ...}.

    Raises InputError, without repeating them, where one of `needed` is missing and there is no token.
    """
    if not secret.startswith("{"):
        return {"token": secret}
    try:
        found = json.loads(secret)
    except ValueError:
        raise InputError("The credentials are neither a token nor a JSON object.") from None
    if not isinstance(found, dict) or ("token" not in found and not (needed and set(needed) <= found.keys())):
        raise InputError(f"The credentials need token{''.join(f', {name}' for name in needed)}: see the README.")
    return {name: str(value) for name, value in found.items()}


@dataclass(frozen=True)
class Crm:
    """One CRM as the calls to it need it."""

    outward: Outward
    endpoint: Endpoint
    credentials: Mapping[str, str]

    def url(self, *path: str) -> str:
        """The address of a record: every part of the path is quoted."""
        return "/".join((self.endpoint.url.rstrip("/"), *(quote(part, safe="()") for part in path)))

    async def send(
        self, method: str, url: str, body: Any, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """One call with a JSON body."""
        return await self.outward.request(
            method,
            url,
            content=json.dumps(body).encode(),
            headers={"Content-Type": "application/json", **(headers or {})},
            private_allowed=self.endpoint.private_allowed,
        )

    async def with_token(
        self, call: Callable[[str], Awaitable[Answer]], token_url: str, form: Mapping[str, str]
    ) -> Answer:
        """The answer to a call with an access token: the given one, or one that is fetched and renewed."""
        if given := self.credentials.get("token"):
            return await call(given)
        held = self.outward.tokens.get(self.endpoint.endpoint_id)
        if held is not None:
            answer = await call(held)
            if answer.status != 401:
                return answer
        fetched = await self._fetched(token_url, form)
        return fetched if isinstance(fetched, Answer) else await call(fetched)

    async def _fetched(self, token_url: str, form: Mapping[str, str]) -> str | Answer:
        """An access token, or the answer that refused it."""
        answer = await self.outward.request(
            "POST",
            token_url,
            content=urlencode(form).encode(),
            headers={"Content-Type": "application/x-www-form-urlencoded"},
            private_allowed=self.endpoint.private_allowed,
        )
        token = read(answer).get("access_token")
        if not answer.ok or not isinstance(token, str):
            return Answer(401, b"", answer.retry_after)
        self.outward.tokens[self.endpoint.endpoint_id] = token
        return token


def read(answer: Answer) -> dict[str, Any]:
    """The answer's JSON object; empty where it is none."""
    try:
        found = json.loads(answer.body)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def outcome(answer: Answer, at: datetime) -> Attempt:
    """What an answer of a CRM means."""
    return Attempt.of(answer, at, about_the_message=(*ABOUT_THE_MESSAGE, UNKNOWN_RECORD))
