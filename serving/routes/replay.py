"""The route that tries a rule book on the past."""

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from serving.deciding.replay import MOST, USUAL_MOST, Asked, replay
from serving.policy.rulebook import parse_rule_book
from serving.reports.view import WINDOW_WITHOUT_MODEL
from serving.telling import answers
from serving.web.api import Moment
from serving.web.asked import json_reply, parts_of
from serving.web.auth import Rules, keys_of

router = APIRouter(tags=["rules"])
RULES: Rules = {("POST", "/v1/policy/replay"): keys_of("manager", "analyst", "admin")}


class ReplayIn(BaseModel):
    """A rule book, and on which decisions to try it."""

    model_config = ConfigDict(extra="forbid")

    text: str
    since: Moment | None = None
    until: Moment | None = None
    limit: int = Field(USUAL_MOST, ge=1, le=MOST)


@router.post("/v1/policy/replay")
def replay_policy(body: ReplayIn, request: Request) -> Response:
    """What a changed rule book would have done with the newest decisions, and what that would have been worth.

    Nothing is changed by it. The reps who were free, their probabilities, the prices and what the methods saw are
    those that were logged (`prices`: logged, or solved anew where the book's prices section is another).

    - `text {en, zh}`: the finding in a sentence; `decisions`, from `first_decided_at` to `last_decided_at`; `replayed`,
      `left_out {why: n}`.
    - `changed`: decisions that the same draw would have given to somebody else, with `examples`; `expected_changed`:
      the least that any draw must change on average. `as_it_ran`: every chance is the logged one, to 1e-9.
    - `asks_others`: decisions for which the book would also ask reps of whom nothing was logged.
    - `reps [{rep_id, name, team, newcomer, leads_then, leads, difference, drawn_difference, value_then, value}]`:
      who gains and who loses, expected; `fairness {then, now}`: Gini of leads and value, largest and newcomers' share.
    - `worth {leads, conversions, observed, difference {value, low, high, why?}, estimates [...],
      effective_sample_size, untried_share}`: conversions per lead against what ran; `difference` has no value but the
      words "too little overlap" where the log cannot tell.
    """
    rules, parts = parse_rule_book(body.text), parts_of(request)
    with parts.ledger.reading() as conn:
        in_force = parts.watch.look(conn)
        model = in_force.loaded.model if in_force.loaded else None
        found = replay(
            conn,
            Asked(rules, body.since, body.limit, body.until),
            at=parts.clock(),
            window_days=model.window_days if model else WINDOW_WITHOUT_MODEL,
            target=str(model.facts.get("target", "won")) if model else "won",
            verdict=model.verdict if model else None,
        )
    return json_reply(answers.encoded(found))
