"""The parts of the rule book, each with its ranges. default.yaml explains every field."""

from datetime import UTC, date, datetime, time, timedelta
from math import floor
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from serving.policy.conditions import Conditions

Share = Annotated[float, Field(ge=0, le=0.9)]
Minutes = Annotated[int, Field(ge=1, le=60 * 24 * 365)]
Days = Annotated[float, Field(gt=0, le=3650)]
Count = Annotated[int, Field(ge=0, le=1_000_000)]
Words = Annotated[str, Field(min_length=1, max_length=120)]
Weights = dict[str, Annotated[float, Field(ge=0, le=1000)]]

# Methods that give every rep a chance without a model.
PlainMethodName = Literal[
    "rotation", "weighted_rotation", "region_first", "tags", "ability_tags", "workload", "performance",
    "fastest_responder", "value_tiers", "points_queue", "newcomer_growth",
]  # fmt: skip
DrawnMethodName = Literal[
    "model", "rotation", "weighted_rotation", "region_first", "tags", "ability_tags", "workload", "performance",
    "fastest_responder", "value_tiers", "points_queue", "newcomer_growth",
]  # fmt: skip
# The last two wait for a person: nobody is drawn.
MethodName = Literal[
    "model", "rotation", "weighted_rotation", "region_first", "tags", "ability_tags", "workload", "performance",
    "fastest_responder", "value_tiers", "points_queue", "newcomer_growth", "pool", "manual_queue",
]  # fmt: skip
WAITING = ("pool", "manual_queue")


class Section(BaseModel):
    """A part of the rule book: frozen, and no field that we do not know."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Ramp(Section):
    """A trial's share on its way to another one, in equal steps: within a step the share stands, so a step compares."""

    begin: date  # 0:00 UTC; the first step comes after days / steps
    days: Days
    to: Share
    steps: Annotated[int, Field(ge=1, le=20)] = 3

    def share(self, first: float, at: datetime) -> float:
        """The share at a moment, of a trial that began with `first`."""
        begun = datetime.combine(self.begin, time.min, UTC)
        done = floor(self.steps * ((at - begun) / timedelta(days=self.days)))
        return round(first + (self.to - first) * min(max(done, 0), self.steps) / self.steps, 6)


class Holdout(Section):
    """Share of the leads left to the control, by mode."""

    live: Share = 0.10
    trial: Share = 0.50
    ramp: Ramp | None = None  # of the trial's share

    def share(self, mode: str, at: datetime) -> float:
        """The share in force at a moment."""
        if mode != "trial":
            return self.live
        return self.ramp.share(self.trial, at) if self.ramp else self.trial


class HardRule(Section):
    """A rule that a rep must pass: a column of hers against one of the lead's, or conditions on hers alone."""

    why: Words  # told of a rep who breaks it
    when: Conditions = {}  # leads that the rule is about; all where empty
    lead: str | None = None  # the lead's column
    rep: str | None = None  # the rep's column; the lead's where not given
    must: Literal["share", "include_all", "differ", "at_least", "at_most"] = "share"
    reps: Conditions = {}  # instead of two columns: what the rep must be
    unstated: Literal["passes", "fails"] = "passes"  # a rep who states nothing in the column
    waived_if_nobody: bool = False  # where no active rep passes, the rule does not count


class HardRules(Section):
    """Which hard rules apply."""

    region: bool = True
    working_hours: bool = True
    rules: tuple[HardRule, ...] = ()


class Route(Section):
    """Leads of one kind, and how they are given out. The first route that takes a lead decides it."""

    name: Words
    when: Conditions = {}
    share: Annotated[float, Field(gt=0, le=1)] = 1.0  # of these leads, chosen by a hash of the lead's id
    method: MethodName
    control: DrawnMethodName | None = None  # of the held-out ones; the book's own where not given
    holdout: Share | None = None  # the book's own where not given
    weights: Weights | None = None  # the book's own where not given
    reps: Conditions = {}  # only among these
    otherwise: str | None = None  # the route that takes over where none of `reps` is free; else the book's method


class Tiers(Section):
    """Which reps get leads of which grade, for the method value_tiers."""

    column: str | None = None  # of the roster; None: thirds by record, called best, middle and learning
    grades: dict[Literal["A", "B", "C", "D"], tuple[str, ...]] = {
        "A": ("best",),
        "B": ("middle",),
        "C": ("learning",),
        "D": ("learning",),
    }


class Points(Section):
    """How a rep earns her place in the points queue."""

    start: Annotated[float, Field(gt=0, le=1e6)] = 1
    closed: Annotated[float, Field(ge=0, le=1e6)] = 1
    won: Annotated[float, Field(ge=0, le=1e6)] = 10


class Performance(Section):
    """What keeps `performance` from giving everything to those who had the best leads so far."""

    shared: Annotated[float, Field(ge=0, le=1)] = 0.2  # of the chance, equally among all available
    prior_leads: Annotated[float, Field(ge=0, le=1e6)] = 20  # closed leads from which a rep's own rate counts in full


class Capacity(Section):
    """Limits for reps who state none, and when a slot comes back by itself."""

    open_leads: Count | None = None
    daily_leads: Count | None = None
    time_out_days: Days | None = None  # an open lead older than this keeps its rep, but no longer her slot


class Newcomers(Section):
    """Protection of reps who were hired lately: neither starved nor flooded. Shares are of an equal chance."""

    days: Annotated[float, Field(ge=0, le=3650)] = 90
    floor: Annotated[float, Field(ge=0, le=1)] = 0.0
    ceiling: Annotated[float, Field(ge=1, le=1000)] = 1.5
    begin: Annotated[float, Field(gt=0, le=1)] = 0.3  # newcomer_growth: weight on the first day; 1 on the last
    open_leads: Count | None = None  # at most on the first day, growing to the rep's own limit


class Absence(Section):
    """How a rep who returns takes part: for as long as she was away, at most 30 days."""

    on_return: Literal["keep_place", "catch_up"] = "keep_place"
    catch_up_at_most: Annotated[float, Field(ge=1, le=10)] = 1.5  # of an equal chance


class Prices(Section):
    """What shapes the prices of the reps' next slots."""

    enabled: bool = True
    floor: Annotated[float, Field(ge=0, le=1)] = 0.5
    ceiling: Annotated[float, Field(ge=1, le=1000)] = 1.3
    slot_days: Days = 14


class ByGrade(Section):
    """Minutes by the lead's grade."""

    A: Minutes = 30
    B: Minutes = 120
    C: Minutes = 480
    D: Minutes = 1440
    unknown: Minutes = 120

    def minutes(self, grade: str | None) -> int:
        """Minutes for `grade`; those of `unknown` where there is no grade."""
        return int(getattr(self, grade)) if grade in ("A", "B", "C", "D") else self.unknown


class ContactWithin(ByGrade):
    """Minutes until a lead should have been contacted."""


class RecycleAfter(ByGrade):
    """Minutes without a first contact after which a lead is taken back."""

    A: Minutes = 1_440
    B: Minutes = 2_880
    C: Minutes = 10_080
    D: Minutes = 20_160
    unknown: Minutes = 10_080


class FollowUp(Section):
    """What happens to a lead that nobody contacts."""

    watch: Literal["auto", "always", "never"] = "auto"
    escalate_after_minutes: Minutes = 240  # after the deadline
    recycle: bool = True
    recycle_after_minutes: RecycleAfter = RecycleAfter()
    most_recycles: Annotated[int, Field(ge=0, le=100)] = 3
    cooling_off_days: Annotated[float, Field(ge=0, le=3650)] = 30
    most_uncontacted: Annotated[int, Field(ge=1, le=1_000_000)] | None = None


class Pool(Section):
    """Leads that wait to be claimed."""

    open_claims: Annotated[int, Field(ge=0, le=1_000_000)] | None = 10
    daily_claims: Annotated[int, Field(ge=0, le=1_000_000)] | None = None
    cooling_off_minutes: Annotated[int, Field(ge=0, le=60 * 24 * 365)] = 720
    time_out_minutes: Minutes | None = 1_440
    then: DrawnMethodName = "model"


class Duplicates(Section):
    """When two leads are one customer, and whether she keeps her rep."""

    same: tuple[Literal["customer_id", "phone", "email", "company"], ...] = ("customer_id", "phone", "email")
    country: Annotated[str, Field(pattern="^[A-Z]{2}$")] | None = None  # of telephone numbers without a country's code
    sticky: bool = True
    days: Days = 365


class Columns(Section):
    """Columns that rules may name before a lead or a rep with them was seen."""

    leads: tuple[str, ...] = ()
    reps: tuple[str, ...] = ()


class RuleBook(Section):
    """How leads are given out."""

    objective: Literal["conversions", "revenue"] = "conversions"
    mode: Literal["auto", "live", "trial", "shadow"] = "auto"
    holdout: Holdout = Holdout()
    method: MethodName = "model"
    control: DrawnMethodName = "rotation"
    fallback: PlainMethodName = "rotation"
    weights: Weights = {}
    eligibility: HardRules = HardRules()
    routes: tuple[Route, ...] = ()
    tiers: Tiers = Tiers()
    points: Points = Points()
    performance: Performance = Performance()
    capacity: Capacity = Capacity()
    newcomers: Newcomers = Newcomers()
    absence: Absence = Absence()
    exploration: Literal["auto", "learn", "earn"] = "auto"
    prices: Prices = Prices()
    contact_within_minutes: ContactWithin = ContactWithin()
    follow_up: FollowUp = FollowUp()
    pool: Pool = Pool()
    duplicates: Duplicates = Duplicates()
    columns: Columns = Columns()
    language: Literal["en", "zh"] = "en"
    seed: int = 1

    def mode_for(self, verdict: str | None) -> Literal["live", "trial", "shadow"]:
        """The mode in force, given the model's verdict (None: no model)."""
        if self.mode != "auto":
            return self.mode
        return "trial" if verdict == "unconfirmed" else "live"

    @property
    def methods(self) -> frozenset[str]:
        """Every method that some lead may be decided by."""
        named = {self.method, self.control, self.fallback, *(route.method for route in self.routes)}
        controls = {route.control for route in self.routes if route.control}
        return frozenset(named | controls | ({self.pool.then} if "pool" in named else set()))
