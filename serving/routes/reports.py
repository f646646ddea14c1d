"""Routes of the figures behind the pages.

Every estimate is `{value, low, high}` with its 90 % interval; where a part of it cannot be given, it is null and `why`
says so. Rates, gains and effects are in probability (0.02: two points). Each report begins with what it looked at:
`as_of, since, until, team, level, window_days, target`, and `complete`, false while the figures are still being read.
Where new figures take longer than `wait_ms`, the last ones are told (`as_of` says when), or 503 if there are none yet.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import Response

from serving.reports.desk import REPORTS, Asked, NotYetError
from serving.telling import answers
from serving.web.api import moment
from serving.web.asked import json_reply, parts_of
from serving.web.auth import Rules, keys_of
from serving.web.problems import FieldError, Problem, retry_later

router = APIRouter(tags=["reports"])
READERS = keys_of("manager", "analyst", "admin")
RULES: Rules = {("GET", f"/v1/reports/{name}"): READERS for name in REPORTS}

Since = Annotated[str | None, Query(description="Decisions from this instant on (ISO 8601 with an offset).")]
Until = Annotated[str | None, Query(description="Decisions before this instant.")]
Team = Annotated[str | None, Query(max_length=200, description="One team of the roster.")]
Wait = Annotated[int, Query(ge=0, le=10_000, description="How long to wait for figures newer than the last ones.")]


@dataclass(frozen=True)
class Stretch:
    """What every report may be asked."""

    since: str | None
    until: str | None
    team: str | None
    wait_ms: int


def _stretch(since: Since = None, until: Until = None, team: Team = None, wait_ms: Wait = 1_500) -> Stretch:
    return Stretch(since, until, team, wait_ms)


Asking = Annotated[Stretch, Depends(_stretch)]


@router.get("/v1/reports/lift")
def lift(request: Request, asking: Asking) -> Response:
    """Is it worth it? What the policy gained over its control, in conversions per lead.

    - `verdict {state, text {en, zh}}`: nothing_yet, too_early, disagree, gain, loss or unsure, in one sentence.
    - `basis`: `window` (leads whose window is over) or `so_far` (too few of these: all, as they stand).
    - `rows {decisions, drawn, counted, mature, held_out}`; `arms {policy, holdout}`: `{leads, conversions, rate}`.
    - `holdout`: difference in means; `holdout_adjusted`: the same with what was known of the leads taken out;
      `doubly_robust`: from all leads with a logged draw. Each with `standard_error`.
    - `always_valid`: the last with an interval that holds at every look; `over_time [{at, leads, gain, holdout}]`.
    - `agreement {disagree, gap, standard_errors, alarm_from}`: whether holdout and replay contradict each other.
    - `plan {leads_per_month, rate, gain, power, significance, holdout [{share, now, leads, more, months, sure_by}],
      replay {leads, more, months, sure_by}, why?}`: what it takes to be sure of a gain like this one.
    - `policies [{name, estimator, value, low, high, effective_sample_size, why?}]`: as it ran, policy, control.
    - `shadow`: null, or `{decisions, told, agreed, share}`: how often the CRM chose the rep whom we would have.
    - `overrides {overridden, judged, above_model, label}`: what people's own choices brought above the model's word.

    With a team: leads that only reps of this team could have got.
    """
    return _told(request, "lift", asking)


@router.get("/v1/reports/load")
def load(request: Request, asking: Asking) -> Response:
    """Who carries how much, over whole UTC days; counts of leads, which are facts and have no interval.

    - `reps [{rep_id, name, team, away, absent_from, absent_until, open, capacity, open_share, today, daily_limit,
      full, last_assigned_at, given, working, by_rotation, by_chance}]`: `away` says why she takes no leads now, or
      null; `given` of the stretch, `working` now; `by_rotation` is what the control would have given her,
      `by_chance` what the logged chances gave on average.
    - `teams [{team, reps, here, open, capacity, given}]`, `gini_of_counts`, `unassigned`, `by_day [{day, leads}]`.
    """
    return _told(request, "load", asking)


@router.get("/v1/reports/fairness")
def fairness(request: Request, asking: Asking) -> Response:
    """Is it fair? Shares of value over whole UTC days; a lead's value is its chance to convert whoever gets it.

    - `reps [{rep_id, name, team, newcomer, leads, leads_by_rotation, leads_by_chance, value, value_by_rotation,
      value_by_chance, share, fair_share, ...}]`: `share` of the value with its interval, `fair_share` by rotation.
    - `gini {given, given_counts, by_rotation, by_chance}`.
    - `newcomers {since_days, rep_ids, floor, of_rotation, kept, price}`: what they got of what rotation would give,
      and what the floor costs in conversions per lead; `price.relaxed [{rep_id, promised, room_for}]` names those who
      have fewer free slots than it promises them, both as shares of rotation's leads.
    - `order {tilt, p_value, biased}`: whether the roster's order plays a part in the draw.
    - `draw {pairs, p_value, biased, furthest}`: whether any rep got more of any source than the logged chances explain.
    """
    return _told(request, "fairness", asking)


@router.get("/v1/reports/response")
def response(request: Request, asking: Asking) -> Response:
    """How long leads wait for their first call, in minutes from when the rep got them.

    `all`, `reps [{rep_id, name, ...}]`, `sources [{source, ...}]` and `grades [{grade, ...}]`, each with `leads`,
    `called`, `median`, `ninth_of_ten` (those still waiting are reckoned in), `in_time` (share of those whose deadline
    is over or kept) and `overdue`; `deadline_minutes` by grade.
    """
    return _told(request, "response", asking)


@router.get("/v1/reports/sources")
def sources(request: Request, asking: Asking) -> Response:
    """What each source brings.

    `all` and `sources [{source, ...}]` with `leads`, `share`, `quality` (mean chance to convert whoever gets the
    lead), `grades`, `mature`, `conversion`, `delay_days` (within which half of the conversions come), `contacted`,
    `value`, `value_sum` and `lost_reasons [{reason, leads, share}]`; `lost_reasons` of all;
    `funnel [{step, leads, share}]` from arrived to won.
    """
    return _told(request, "sources", asking)


@router.get("/v1/reports/reps")
def reps(request: Request, asking: Asking) -> Response:
    """What came of each rep's leads, and her strengths as the model sees them.

    `reps [{rep_id, name, team, leads, open, won, lost, mature, conversion, expected, above_expected,
    above_expected_raw, value_sum, overridden_to, model}]`: `above_expected` is drawn towards the mean by how much of
    the reps' spread is noise; `model {overall, strengths [{feature, level, value, low, high, clear}], told_apart,
    unit}` are the model's effects, `clear` where the interval excludes 0. `verdict` and `notes` say how far to trust.
    """
    return _told(request, "reps", asking)


@router.get("/v1/reports/alerts")
def alerts(request: Request, asking: Asking) -> Response:
    """What needs somebody's attention.

    `checks [{kind, severity, raised, text {en, zh}, ...}]` of the kinds overdue, stuck, unassigned, drift, calibration,
    holdout_against_replay and draw; `alerts` are the raised ones, worst first. The first three count leads and list
    the oldest as `items [{decision_id, lead_id, rep_id, grade, due_at or since}]`.
    """
    return _told(request, "alerts", asking)


def _told(request: Request, name: str, asking: Stretch) -> Response:
    asked = Asked(name, _moment("since", asking.since), _moment("until", asking.until), asking.team)
    if asked.since and asked.until and asked.until <= asked.since:
        raise Problem(422, "The stretch of time is empty.", [FieldError("until", "must lie after since")])
    try:
        return json_reply(answers.encoded(parts_of(request).reports.report(asked, within_s=asking.wait_ms / 1000)))
    except NotYetError:
        raise retry_later(503, "The figures are being worked out from the ledger; ask again.") from None


def _moment(name: str, text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        return moment(text)
    except ValueError as error:
        raise Problem(422, "The stretch of time cannot be read.", [FieldError(name, str(error))]) from None
