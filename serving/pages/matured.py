"""From when on a lead is too young for anybody to know what became of it."""

from datetime import datetime, timedelta

from starlette.requests import Request

from serving.pages.visitor import ask, visitor_of
from serving.reports.view import WINDOW_WITHOUT_MODEL


async def matured_until(request: Request) -> datetime:
    """Leads decided before this have had their whole time to convert."""
    told = await ask(request, "GET", "/v1/model")
    return visitor_of(request).now - timedelta(days=told.get("window_days", WINDOW_WITHOUT_MODEL))
