"""Model: the champion and how good it is, whether it still fits, its challengers, promotion and rollback."""

from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import RedirectResponse, Response

from serving.pages.axis import axis_of
from serving.pages.figures import Figures
from serving.pages.render import figures_of, page
from serving.pages.visitor import MANAGERS, STAFF, PageRules, ask, form_of, reports
from serving.web.problems import Problem

router = APIRouter()
RULES: PageRules = {
    ("GET", "/model"): STAFF,
    ("GET", "/model/versions"): STAFF,
    ("POST", "/model/promote"): MANAGERS,
    ("POST", "/model/rollback"): MANAGERS,
}
METRICS = ("log_loss", "auc", "brier", "ece")


@router.get("/model")
async def champion(request: Request) -> Response:
    """The page; its list of versions comes by itself, for the registry may take seconds."""
    told = await ask(request, "GET", "/v1/model")
    alerts = (await reports(request, "alerts"))["alerts"]
    checks = {each["kind"]: each for each in alerts["checks"]}
    fig = figures_of(request)
    bins, deciles = checks["calibration"]["bins"], checks["drift"].get("deciles")
    return page(
        request,
        "model.html",
        told=told,
        facts=told.get("facts", {}),
        metrics=METRICS,
        drift=checks["drift"],
        calibration=checks["calibration"],
        reliability=_reliability(bins, fig) if bins else None,
        scores=_scores(deciles, fig) if deciles else None,
        alerts=alerts,
    )


@router.get("/model/versions")
async def versions(request: Request) -> Response:
    """The registered versions beside each other."""
    alone = "hx-request" in request.headers
    template = "model_versions.html" if alone else "model_versions_page.html"
    told = await ask(request, "GET", "/v1/model")
    try:
        found = (await ask(request, "GET", "/v1/model/versions"))["versions"]
    except Problem as problem:  # told where the list would be: the rest of the page does not need the registry
        down = problem.status == 503
        told_why = figures_of(request).say("model.registry_down") if down else problem.detail
        return page(request, template, rows=None, problem=told_why)
    current = (told["champion"] or {}).get("model_version")
    losses = [each["metrics"].get("log_loss") for each in found]
    rows = [
        {**each, "champion": each["version"] == current, "loss": loss and _with_ends(loss)}
        for each, loss in zip(found, losses, strict=True)
    ]
    axis = axis_of((row["loss"] for row in rows), zero=False)
    return page(request, template, rows=rows, axis=axis, current=current)


@router.post("/model/promote")
async def promote(request: Request) -> Response:
    """Another version in force, with a reason."""
    form = await form_of(request)
    body = {"version": form.get("version", ""), "expected": form.get("expected") or None, "why": form.get("why", "")}
    await ask(request, "POST", "/v1/model/promote", body)
    return RedirectResponse("/model", 303)


@router.post("/model/rollback")
async def roll_back(request: Request) -> Response:
    """The one before in force again, with a reason."""
    form = await form_of(request)
    body = {"expected": form.get("expected") or None, "why": form.get("why", "")}
    await ask(request, "POST", "/v1/model/rollback", body)
    return RedirectResponse("/model", 303)


def _with_ends(loss: dict[str, Any]) -> dict[str, Any]:
    """A metric with its 90 % interval, from its standard error."""
    error = loss["standard_error"]
    if loss["value"] is None or error is None:
        return {**loss, "low": None, "high": None}
    return {**loss, "low": loss["value"] - 1.645 * error, "high": loss["value"] + 1.645 * error}


def _reliability(bins: list[dict[str, Any]], fig: Figures) -> dict[str, Any]:
    """Predicted against seen, in percent: on the diagonal where the model is right."""
    end = round(100 * max(max(each["predicted"], each["high"]) for each in bins) + 1)
    points = [[round(100 * each["predicted"], 2), round(100 * each["observed"], 2)] for each in bins]
    whiskers = [
        {"coord": [round(100 * each["predicted"], 2), round(100 * each[name], 2)]}
        for each in bins
        for name in ("low", "high")
    ]
    ends = [{"coord": [0, 0]}, {"coord": [end, end]}]
    line = {"silent": True, "symbol": "none", "label": {"show": False}, "animation": False}
    option = {
        "xAxis": {"type": "value", "min": 0, "max": end, "name": fig.say("model.predicted"), "nameLocation": "middle",
                  "nameGap": 28},
        "yAxis": {"type": "value", "min": 0, "max": end, "name": fig.say("model.seen")},
        "grid": {"left": 8, "right": 16, "top": 32, "bottom": 24, "containLabel": True},
        "tooltip": {"trigger": "item"},
        "series": [
            {"type": "scatter", "symbolSize": 8, "itemStyle": {"color": "$accent"}, "data": points,
             "markLine": {**line, "data": [
                 [{**ends[0], "lineStyle": {"color": "$grey", "type": "dashed"}}, ends[1]],
                 *[[{**low, "lineStyle": {"color": "$accent", "type": "solid", "opacity": 0.4, "width": 2}}, high]
                   for low, high in zip(whiskers[::2], whiskers[1::2], strict=True)],
             ]}},
        ],
    }  # fmt: skip
    rows = [
        (
            fig.percent(each["predicted"]),
            fig.percent(each["observed"]),
            fig.percent_interval(each["low"], each["high"]),
            fig.number(each["rows"]),
        )
        for each in bins
    ]
    return {"option": option, "rows": rows}


def _scores(deciles: list[float], fig: Figures) -> dict[str, Any]:
    """How the newest leads spread over the scores of the training window: evenly where nothing changed."""
    names = [f"{10 * number}–{10 * number + 10}" for number in range(len(deciles))]
    usual = round(100 / len(deciles), 1)
    option = {
        "xAxis": {"type": "category", "data": names},
        "yAxis": {"type": "value", "min": 0, "axisLabel": {"formatter": "{value} %"}},
        "series": [
            {"type": "bar", "data": [round(100 * share, 1) for share in deciles], "itemStyle": {"color": "$accent"},
             "barMaxWidth": 28,
             "markLine": {"silent": True, "symbol": "none", "label": {"show": False},
                          "lineStyle": {"color": "$muted", "type": "dashed"}, "data": [{"yAxis": usual}]}},
        ],
    }  # fmt: skip
    rows = [(name, fig.percent(share)) for name, share in zip(names, deciles, strict=True)]
    return {"option": option, "rows": rows}
