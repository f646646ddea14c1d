"""Is it worth it? The verdict in one sentence, the gain over time, what the holdout says, and what it takes to know."""

import math
from typing import Any

import yaml
from anyio import to_thread
from fastapi import APIRouter, Request
from starlette.responses import Response

from serving.pages.axis import axis_of
from serving.pages.figures import Figures
from serving.pages.matured import matured_until
from serving.pages.render import figures_of, page
from serving.pages.span import span_of
from serving.pages.team import roster_of
from serving.pages.visitor import STAFF, PageRules, ask, parts_of, reports, visitor_of
from serving.web.problems import Problem

router = APIRouter()
RULES: PageRules = {("GET", "/worth"): STAFF, ("GET", "/worth/methods/{method}"): STAFF}
# Those that need nothing more from the rule book than their name; one after another, for each takes seconds.
METHODS = ("model", "rotation", "region_first", "performance", "workload", "fastest_responder")
REPLAYED = 2_000  # of the newest decisions that are old enough


@router.get("/worth")
async def worth(request: Request) -> Response:
    """The page."""
    reps = await to_thread.run_sync(roster_of, parts_of(request))
    span = span_of("/worth", request.query_params, reps, visitor_of(request))
    lift = (await reports(request, "lift", **span.asked))["lift"]
    fig = figures_of(request)
    looks = [(name, lift[name]) for name in ("doubly_robust", "always_valid", "holdout_adjusted", "holdout")]
    known = any(found["value"] is not None for _, found in looks)
    policies = sorted(lift["policies"], key=lambda each: (each["value"] is None, -(each["value"] or 0.0)))
    return page(
        request,
        "worth.html",
        span=span,
        lift=lift,
        looks=looks,
        known=known,
        looks_axis=axis_of(found for _, found in looks),
        policies=policies,
        policies_axis=axis_of(policies),
        first_method=METHODS[0],
        over_time=_over_time(lift["over_time"], fig) if lift["over_time"] else None,
    )


@router.get("/worth/methods/{method}")
async def one_method(request: Request, method: str) -> Response:
    """A row of the table of methods: what one would have been worth on the past, by the interface's replay."""
    if method not in METHODS:
        raise Problem(404, "There is no such method here.")
    rules = yaml.safe_load((await ask(request, "GET", "/v1/policy"))["text"]) or {}
    text = yaml.safe_dump(rules | {"method": method, "holdout": {"live": 0, "trial": 0}}, allow_unicode=True)
    body = {"text": text, "limit": REPLAYED, "until": (await matured_until(request)).isoformat()}
    tried: dict[str, Any] | None = None
    problem = ""
    try:
        tried = (await ask(request, "POST", "/v1/policy/replay", body))["worth"]
    except Problem as refused:  # told in its row: another method may do
        problem = refused.detail
    found = next((each for each in tried["estimates"] if each["headline"]), None) if tried else None
    place = METHODS.index(method)
    return page(
        request,
        "worth_method.html",
        method=method,
        tried=tried,
        found=found,
        problem=problem,
        following=METHODS[place + 1] if place + 1 < len(METHODS) else None,
    )


def _over_time(points: list[dict[str, Any]], fig: Figures) -> dict[str, Any]:
    """The line with its band, the holdout as dots behind, and the same as a table; in points."""
    shown = [fig.when(each["at"]) for each in points]
    rows = [
        (
            day,
            fig.number(each["leads"]),
            fig.points(each["gain"]["value"]),
            fig.interval(each["gain"]["low"], each["gain"]["high"]),
            fig.points(each["holdout"]["value"]),
        )
        for day, each in zip(shown, points, strict=True)
    ]
    return {"option": _option(shown, points, fig), "rows": rows}


def _option(days: list[str], points: list[dict[str, Any]], fig: Figures) -> dict[str, Any]:
    low = [round(100 * each["gain"]["low"], 3) for each in points]
    high = [round(100 * each["gain"]["high"], 3) for each in points]
    width = [round(above - below, 3) for below, above in zip(low, high, strict=True)]
    # The first looks are so wide that they would flatten all others.
    reach = 5 * math.ceil(max(*(abs(each) for each in (*low[len(low) // 4 :], *high[len(high) // 4 :])), 1.0) / 5)
    band = {
        "type": "line", "stack": "band", "stackStrategy": "all", "symbol": "none", "silent": True,
        "lineStyle": {"opacity": 0}, "tooltip": {"show": False},
    }  # fmt: skip
    gain = fig.say("worth.gain")
    return {
        "xAxis": {"type": "category", "data": days, "boundaryGap": False, "axisLabel": {"hideOverlap": True}},
        "yAxis": {"type": "value", "min": -reach, "max": reach, "axisLabel": {"formatter": "{value}"}},
        "grid": {"left": 8, "right": 72, "top": 12, "bottom": 8, "containLabel": True},
        "tooltip": {"trigger": "axis"},
        "series": [
            {**band, "data": low},
            {**band, "data": width, "areaStyle": {"color": "$accent", "opacity": 0.14}},
            {
                "name": fig.say("worth.holdout"), "type": "scatter", "symbolSize": 5, "itemStyle": {"color": "$grey"},
                "data": [_points(each["holdout"]["value"]) for each in points],
                "tooltip": {"show": True},
            },
            {
                "name": gain, "type": "line", "symbol": "none", "lineStyle": {"width": 2, "color": "$accent"},
                "itemStyle": {"color": "$accent"}, "data": [_points(each["gain"]["value"]) for each in points],
                "endLabel": {"show": True, "formatter": gain, "color": "$accent"},
                "markLine": {
                    "silent": True, "symbol": "none", "label": {"show": False},
                    "lineStyle": {"color": "$muted", "type": "solid", "width": 1}, "data": [{"yAxis": 0}],
                },
            },
        ],
    }  # fmt: skip


def _points(probability: float | None) -> float | None:
    return None if probability is None else round(100 * probability, 3)
