"""Requests that nobody thought of: generated from the service's own description, bent by hand, or of any shape."""

import json
import random
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import quote

import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from requests import Request
from schemathesis import GenerationMode

from tests.torture.hostile import INJECTIONS, VALUES
from tests.torture.service import Http

PHASES = (Phase.generate,)  # nothing to shrink: what is counted are answers
BENT = 4  # of each generated request so many more are made by bending it: generating one costs some 15 ms, this none
OURS = ("authorization", "content-length", "transfer-encoding", "user-agent")  # headers that the client sets


@dataclass(frozen=True)
class Asked:
    """A request, as it goes to the service."""

    method: str
    path: str
    headers: Mapping[str, str]
    content: bytes | None


def from_description(call: Http, description: Mapping[str, Any], count: int) -> Counter[int | None]:
    """Statuses of some `count` requests, spread over all operations.

    Half of the generated ones have something wrong on purpose; to each come BENT others.
    """
    schema = schemathesis.openapi.from_dict(dict(description))
    operations = [each.ok() for each in schema.get_all_operations()]
    dice = random.Random(7)
    said: Counter[int | None] = Counter()
    each = max(round(count / (2 * len(operations) * (1 + BENT))), 1)
    quietly = settings(
        max_examples=each, deadline=None, database=None, phases=PHASES, suppress_health_check=list(HealthCheck)
    )
    for operation in operations:
        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):

            @seed(7)
            @quietly
            @given(operation.as_strategy(generation_mode=mode))
            def ask(case: Any) -> None:
                asked = _asked(case)
                for one in (asked, *(bent(asked, dice) for _ in range(BENT))):
                    said[call.raw(one.method, one.path, "admin", one.content, one.headers)[0]] += 1

            try:
                ask()
            except schemathesis.errors.InvalidSchema:
                raise
            except Exception as error:
                if type(error).__name__ not in ("Unsatisfiable", "SkipTest"):  # nothing can be wrong with nothing
                    raise
    return said


def _asked(case: Any) -> Asked:
    made = case.as_transport_kwargs(base_url="http://127.0.0.1")
    prepared = Request(
        made["method"],
        made["url"],
        params=made.get("params"),
        headers={name: str(value) for name, value in (made.get("headers") or {}).items()},
        json=made.get("json"),
        data=made.get("data"),
    ).prepare()
    headers = {name: value for name, value in prepared.headers.items() if name.lower() not in OURS}
    content = prepared.body.encode() if isinstance(prepared.body, str) else prepared.body
    return Asked(prepared.method, prepared.path_url, headers, content)


def bent(asked: Asked, dice: random.Random) -> Asked:
    """The same with one thing changed: a value anywhere in its body, a field lost or added, or a part of its path."""
    try:
        value = json.loads(asked.content or b"")
    except ValueError:
        return replace(asked, path=_bent_path(asked.path, dice))
    return replace(asked, content=json.dumps(_bent_value(value, dice)).encode())


def _bent_value(value: Any, dice: random.Random) -> Any:
    if isinstance(value, dict) and value and dice.random() < 0.9:
        name = dice.choice(list(value))
        others = {key: held for key, held in value.items() if key != name}
        how = dice.random()
        if how < 0.1:
            return others
        if how < 0.2:
            return {**value, dice.choice(INJECTIONS)[:40]: dice.choice(VALUES)}
        return {**others, name: _bent_value(value[name], dice)}
    if isinstance(value, list) and value and dice.random() < 0.9:
        place = dice.randrange(len(value))
        return [*value[:place], _bent_value(value[place], dice), *value[place + 1 :]]
    return dice.choice(VALUES if dice.random() < 0.5 else INJECTIONS)


def _bent_path(path: str, dice: random.Random) -> str:
    strange = quote(
        str(dice.choice(VALUES if dice.random() < 0.5 else INJECTIONS))[:2_000], safe="", errors="surrogatepass"
    )
    way, _, query = path.partition("?")
    pairs = query.split("&") if query else []
    if pairs and dice.random() < 0.7:
        place = dice.randrange(len(pairs))
        pairs[place] = f"{pairs[place].partition('=')[0]}={strange}"
        return f"{way}?{'&'.join(pairs)}"
    if dice.random() < 0.5:
        return f"{way}?{'&'.join([*pairs, f'limit={strange}'])}"
    return f"{way.rpartition('/')[0]}/{strange}"


SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=30)
ANYTHING = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
KNOWN = ["lead_id", "created_at", "customer_id", "region", "source", "email", "x"]
NAMES = st.sampled_from(KNOWN) | st.text(max_size=6)
LEADS = st.dictionaries(NAMES, ANYTHING, max_size=6)
EVENTS = st.dictionaries(
    st.sampled_from(["event_id", "lead_id", "event", "occurred_at", "value", "reason", "rep_id", "into"]),
    st.sampled_from(["won", "lost", "merged", "owner_changed", "2026-03-02T10:00:00Z"]) | ANYTHING,
    max_size=8,
)
BODIES = st.one_of(
    st.tuples(st.just("/v1/assign"), st.fixed_dictionaries({"lead": LEADS})),
    st.tuples(st.just("/v1/score"), st.fixed_dictionaries({"lead": LEADS})),
    st.tuples(st.just("/v1/assign/batch"), st.fixed_dictionaries({"leads": st.lists(LEADS, max_size=3)})),
    st.tuples(st.just("/v1/outcomes"), EVENTS | st.lists(EVENTS, max_size=3)),
    st.tuples(st.sampled_from(["/v1/assign", "/v1/outcomes", "/v1/score"]), ANYTHING),
)


def from_imagination(call: Http, count: int) -> Counter[int | None]:
    """Statuses of some `count` bodies of any shape, sent where leads and events are taken; BENT of each as well."""
    said: Counter[int | None] = Counter()
    dice = random.Random(11)

    @seed(11)
    @settings(
        max_examples=max(round(count / (1 + BENT)), 1),
        deadline=None,
        database=None,
        phases=PHASES,
        suppress_health_check=list(HealthCheck),
    )
    @given(BODIES)
    def ask(made: tuple[str, Any]) -> None:
        content = json.dumps(made[1]).encode()
        asked = Asked("POST", made[0], {"Content-Type": "application/json"}, content)
        for one in (asked, *(bent(asked, dice) for _ in range(BENT))):
            said[call.raw(one.method, one.path, "admin", one.content, one.headers)[0]] += 1

    ask()
    return said
