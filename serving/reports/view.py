"""What a report looks at: the facts of a stretch of time, the roster and the rules as they are now, and the moment."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import numpy as np

from data.roster import Rep
from data.store.capacity import Load
from data.store.chances import ChanceSums
from serving.policy.rulebook import RuleBook
from serving.reports.facts import Facts, Flags, Floats
from training.conversion import ConversionModel
from training.intervals import Estimate
from training.policy_value import PolicyValue

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
WINDOW_WITHOUT_MODEL = 30.0  # days
LEVEL = 0.9


@dataclass(frozen=True)
class View:
    """Everything that a report may look at; nothing of it changes while the report is made."""

    facts: Facts  # of the decisions in the stretch of time
    at: datetime
    since: datetime | None
    until: datetime | None
    team: str | None
    reps: Sequence[Rep]  # the roster now
    loads: Mapping[str, Load]
    rules: RuleBook
    model: ConversionModel | None
    chances: Sequence[ChanceSums] = ()
    floor_price: Mapping[str, Any] | None = None  # an estimate, where a report asks for it

    @property
    def at_days(self) -> float:
        """Now, in days since 1970."""
        return days(self.at)

    @property
    def window_days(self) -> float:
        """Days within which a lead has to convert to count."""
        return self.model.window_days if self.model else WINDOW_WITHOUT_MODEL

    @property
    def target(self) -> Literal["won", "qualified"]:
        """What counts as converted."""
        return "qualified" if self.model and self.model.facts.get("target") == "qualified" else "won"

    def team_reps(self) -> list[Rep]:
        """The reps of the team that was asked for; all where none was."""
        return [rep for rep in self.reps if self.team is None or rep.team == self.team]

    def of_team(self, facts: Facts) -> Facts:
        """The decisions whose lead is worked by one of the team; all where no team was asked for."""
        if self.team is None:
            return facts
        return facts.where(facts.is_one_of("rep_id", *(rep.rep_id for rep in self.team_reps())))

    def scope(self) -> dict[str, Any]:
        """The part of each report that says what was looked at."""
        return {
            "as_of": self.at,
            "since": self.since,
            "until": self.until,
            "team": self.team,
            "level": LEVEL,
            "window_days": self.window_days,
            "target": self.target,
        }

    def converted(self, facts: Facts) -> Floats:
        """1 for leads that converted within the window of the decision, whoever worked them in the end, else 0."""
        when = facts.number("lead_won_at" if self.target == "won" else "lead_qualified_at")
        return ((when - facts.number("decided_at")) <= self.window_days).astype(np.float64)  # NaN: not at all

    def mature(self, facts: Facts) -> Flags:
        """Whether the window of each decision is over."""
        return facts.number("decided_at") + self.window_days <= self.at_days


def days(at: datetime) -> float:
    """Days since 1970 UTC."""
    return (at - EPOCH) / timedelta(days=1)


def moment(at_days: float) -> datetime:
    """The instant, to the second."""
    return EPOCH + timedelta(seconds=round(at_days * 86_400))


def number(value: float | None) -> float | None:
    """A number as JSON has it: none where it is not finite."""
    return None if value is None or not np.isfinite(value) else float(value)


def told(estimate: Estimate | PolicyValue, *, why: str | None = None) -> dict[str, Any]:
    """An estimate with its interval; where a part is missing, `why` says so."""
    made: dict[str, Any] = {name: number(value) for name, value in asdict(estimate).items()}
    if made["value"] is None or made["low"] is None or made["high"] is None:
        made["why"] = why or "too few leads"
    return made


def nothing(why: str) -> dict[str, Any]:
    """An estimate that cannot be given, and why."""
    return {"value": None, "low": None, "high": None, "why": why}


def count(flags: Flags) -> int:
    """How many are true."""
    return int(np.count_nonzero(flags))
