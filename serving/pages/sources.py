"""Sources and funnel: what each source brings, how far its leads come, why the others are lost, and what is amiss."""

import asyncio
from typing import Any

from anyio import to_thread
from fastapi import APIRouter, Request
from starlette.responses import Response

from serving.pages.axis import axis_of
from serving.pages.figures import Figures
from serving.pages.render import figures_of, page
from serving.pages.span import span_of
from serving.pages.team import roster_of
from serving.pages.visitor import STAFF, PageRules, ask, parts_of, reports, visitor_of

router = APIRouter()
RULES: PageRules = {("GET", "/sources"): STAFF}
MOST_ITEMS = 8  # of an alert that are shown at once


@router.get("/sources")
async def sources(request: Request) -> Response:
    """The page."""
    reps = await to_thread.run_sync(roster_of, parts_of(request))
    span = span_of("/sources", request.query_params, reps, visitor_of(request))
    both = reports(request, "sources", **span.asked), reports(request, "alerts", team=span.team)
    told, alerts = (each[name] for each, name in zip(await asyncio.gather(*both), ("sources", "alerts"), strict=True))
    rows = sorted(told["sources"], key=lambda row: -row["leads"])
    fig = figures_of(request)
    return page(
        request,
        "sources.html",
        span=span,
        told=told,
        currency=(await ask(request, "GET", "/v1/model")).get("facts", {}).get("currency"),
        rows=[*rows, {**told["all"], "total": True}] if len(rows) > 1 else rows,
        alerts=[{"items": [], **each} for each in alerts["alerts"]],
        most=MOST_ITEMS,
        alerts_told=alerts,
        quality_axis=axis_of(row["quality"] for row in rows),
        conversion_axis=axis_of(row["conversion"] for row in rows),
        funnel=_funnel(told["funnel"], fig),
        reasons=_reasons(told["lost_reasons"], fig) if told["lost_reasons"] else None,
    )


def _funnel(steps: list[dict[str, Any]], fig: Figures) -> dict[str, Any]:
    names = [fig.say(f"funnel.{each['step']}") for each in steps]
    shares = [each["share"]["value"] for each in steps]
    return {
        "option": _bars(names, [each["leads"] for each in steps], [fig.percent(share) for share in shares], "$accent"),
        "rows": [
            (name, fig.number(each["leads"]), fig.percent(share))
            for name, each, share in zip(names, steps, shares, strict=True)
        ],
    }


def _reasons(reasons: list[dict[str, Any]], fig: Figures) -> dict[str, Any]:
    names = [_reason(each["reason"], fig) for each in reasons]
    intervals = [fig.percent_interval(each["share"]["low"], each["share"]["high"]) for each in reasons]
    return {
        "option": _bars(names, [each["leads"] for each in reasons], [fig.percent(each["share"]["value"])
                        for each in reasons], "$grey"),
        "rows": [
            (name, fig.number(each["leads"]), fig.percent(each["share"]["value"]), interval)
            for name, each, interval in zip(names, reasons, intervals, strict=True)
        ],
    }  # fmt: skip


def _reason(reason: str | None, fig: Figures) -> str:
    if reason is None:
        return fig.say("sources.no_reason")
    return fig.say("sources.other_reasons") if reason == "other" else fig.lost(reason)[:40]


def _bars(names: list[str], counts: list[int], labels: list[str], colour: str) -> dict[str, Any]:
    """Lying bars from the top down, each with its share at its end."""
    data = [
        {"value": count, "label": {"show": True, "position": "right", "formatter": f"{count:,}  {label}"}}
        for count, label in zip(counts, labels, strict=True)
    ]
    return {
        "xAxis": {"type": "value", "show": False, "max": max([*counts, 1]) * 1.4},
        "yAxis": {"type": "category", "data": names, "inverse": True, "axisLine": {"show": False}},
        "grid": {"left": 0, "right": 8, "top": 4, "bottom": 4, "containLabel": True},
        "tooltip": {"show": False},
        "series": [{"type": "bar", "data": data, "itemStyle": {"color": colour}, "barMaxWidth": 18}],
    }
