"""Templates -> pages: everything is escaped, and a name that a template misspells is an error."""

from collections import Counter
from datetime import datetime
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse

from serving.pages.figures import Figures, initials, instant
from serving.pages.visitor import STAFF, Visitor, here, visitor_of
from serving.pages.words import LANGUAGES, Say, words
from serving.reports.desk import Asked
from serving.running.parts import Parts
from serving.web.auth import keys_of

FOLDER = Path(__file__).parent
# The rail: (address, key of its word, icon, who sees it).
RAIL = (
    ("/assignments", "rail.assignments", "inbox", STAFF),
    ("/worth", "rail.worth", "scale", STAFF),
    ("/team", "rail.team", "people", STAFF),
    ("/rules", "rail.rules", "book", STAFF),
    ("/sources", "rail.sources", "funnel", STAFF),
    ("/model", "rail.model", "chip", STAFF),
    ("/my-leads", "rail.my_leads", "phone", keys_of("rep", "manager", "admin")),
)

# Which check of the alerts counts on which page; for those of "/assignments" its leads, else the check itself.
ATTENTION = {
    "unassigned": "/assignments", "overdue": "/sources", "stuck": "/sources", "drift": "/model",
    "calibration": "/model", "holdout_against_replay": "/worth", "draw": "/team",
}  # fmt: skip

env = Environment(
    loader=FileSystemLoader(FOLDER / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
env.globals["initials"] = initials
env.globals["instant"] = instant
env.filters["as_moment"] = datetime.fromisoformat
env.filters["said"] = lambda text, fig: fig.said(text)
env.filters["sentence"] = lambda text: text[:1].upper() + text[1:]
env.filters["as_options"] = lambda values: [(value, value) for value in values]


def prepare() -> None:
    """Read all words and templates, so that nobody's first page waits for it."""
    for language in LANGUAGES:
        words(language)
    for name in env.list_templates(extensions=["html"]):
        env.get_template(name)


def page(request: Request, template: str, *, status: int = 200, **given: Any) -> HTMLResponse:
    """A template as the visitor sees it; `say`, `fig`, `visitor` and `here` are there for all."""
    visitor = getattr(request.state, "visitor", None)
    if visitor is None:
        raise RuntimeError("a page is drawn for a visitor: see serving.pages.visitor.admit")
    return HTMLResponse(env.get_template(template).render(**shared(request, visitor), **given), status)


def shared(request: Request, visitor: Visitor) -> dict[str, Any]:
    """What every template may use."""
    say = Say(visitor.language)
    known = request.app.state.addresses
    rail = [
        (address, word, icon)
        for address, word, icon, rule in RAIL
        if visitor.role in rule.roles and address in known
    ]
    return {
        "say": say,
        "fig": Figures(say, visitor.zone, visitor.now),
        "visitor": visitor,
        "here": here(request),
        "path": request.url.path,
        "rail": rail,
        "attention": attention(request.app.state.parts(), visitor),
    }


def attention(parts: Parts | None, visitor: Visitor) -> dict[str, int]:
    """How much waits for somebody on each page, as of the last alerts; no page waits for newer ones."""
    if parts is None or visitor.role not in STAFF.roles:
        return {}
    told = parts.reports.at_hand(Asked("alerts"))
    counts: Counter[str] = Counter()
    for alert in told["alerts"] if told else ():
        address = ATTENTION[alert["kind"]]
        counts[address] += alert["count"] if address == "/assignments" else 1
    return dict(counts)


def figures_of(request: Request) -> Figures:
    """Numbers and times as the visitor reads them."""
    visitor = visitor_of(request)
    return Figures(Say(visitor.language), visitor.zone, visitor.now)
