"""Requests that nobody thought of: generated from the service's own description, and then bent."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode

from tests.torture.service import Http

PHASES = (Phase.generate,)  # nothing to shrink: what is counted are answers


def from_description(call: Http, description: Mapping[str, Any], count: int) -> Counter[int | None]:
    """Statuses of `count` requests, spread over all operations, half of them with something wrong on purpose."""
    schema = schemathesis.openapi.from_dict(dict(description))
    operations = [each.ok() for each in schema.get_all_operations()]
    said: Counter[int | None] = Counter()
    for operation in operations:
        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
            each = max(count // (2 * len(operations)), 1)

            @seed(7)
            @settings(
                max_examples=each, deadline=None, database=None, phases=PHASES, suppress_health_check=list(HealthCheck)
            )
            @given(operation.as_strategy(generation_mode=mode))
            def ask(case: Any) -> None:
                said[_asked(call, case)] += 1

            try:
                ask()
            except schemathesis.errors.InvalidSchema:
                raise
            except Exception as error:
                if type(error).__name__ not in ("Unsatisfiable", "SkipTest"):  # nothing can be wrong with nothing
                    raise
    return said


def _asked(call: Http, case: Any) -> int | None:
    given = case.as_transport_kwargs(base_url="http://127.0.0.1")
    import requests

    prepared = requests.Request(
        given["method"],
        given["url"],
        params=given.get("params"),
        headers={name: str(value) for name, value in (given.get("headers") or {}).items()},
        json=given.get("json"),
        data=given.get("data"),
    ).prepare()
    headers = {
        name: value
        for name, value in prepared.headers.items()
        if name.lower() not in ("authorization", "content-length", "transfer-encoding", "user-agent")
    }
    content = prepared.body.encode() if isinstance(prepared.body, str) else prepared.body
    return call.raw(prepared.method, prepared.path_url, "admin", content, headers)[0]


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
    """Statuses of `count` bodies of any shape, sent where leads and events are taken."""
    said: Counter[int | None] = Counter()

    @seed(11)
    @settings(max_examples=count, deadline=None, database=None, phases=PHASES, suppress_health_check=list(HealthCheck))
    @given(BODIES)
    def ask(asked: tuple[str, Any]) -> None:
        said[call("POST", asked[0], "admin", asked[1])[0]] += 1

    ask()
    return said
