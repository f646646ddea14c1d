"""The stretch of time and the team that a page of figures looks at, from its address."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from data.roster import Rep
from serving.pages.figures import start_of_day
from serving.pages.visitor import Visitor
from serving.web.text import clean_text

RANGES = {"7d": 6, "30d": 29, "90d": 89, "365d": 364}  # days before today; "all": everything
USUAL = "90d"


@dataclass(frozen=True)
class Span:
    """What is looked at. `asked` goes to the reports as it is."""

    path: str
    range: str
    team: str | None
    teams: Sequence[str]
    since: datetime | None

    @property
    def asked(self) -> dict[str, Any]:
        """The query of a report."""
        return {"since": self.since.isoformat() if self.since else None, "team": self.team}

    def of_team(self, reps: Sequence[Rep]) -> list[Rep]:
        """The reps that are looked at."""
        return [rep for rep in reps if self.team is None or rep.team == self.team]

    def address(self, **changed: str | None) -> str:
        """The page with some of it changed."""
        chosen = None if self.range == USUAL else self.range
        query = {name: value for name, value in {"range": chosen, "team": self.team, **changed}.items() if value}
        return self.path + (f"?{urlencode(query)}" if query else "")


def span_of(path: str, query: Mapping[str, str], reps: Sequence[Rep], visitor: Visitor) -> Span:
    """The span of an address; what it does not name, or what there is not, is the usual."""
    teams = sorted({rep.team for rep in reps if rep.team})
    chosen = query.get("range", USUAL)
    chosen = chosen if chosen in (*RANGES, "all") else USUAL
    team = clean_text(query.get("team", "")).strip()
    since = None if chosen == "all" else start_of_day(visitor.now, visitor.zone, days_before=RANGES[chosen])
    return Span(path, chosen, team if team in teams else None, teams, since)
