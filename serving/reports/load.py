"""Who carries how much: open leads and the day's against their limits, what was given, and what to expect of it."""

from collections import defaultdict
from typing import Any

import numpy as np

from data.roster import Rep
from data.store.capacity import Load
from serving.policy.eligibility import away
from serving.reports.shares import gini
from serving.reports.view import View, count, moment, number

MOST_DAYS = 92  # of the series; a longer stretch shows its last days


def report(view: View) -> dict[str, Any]:
    """The figures of GET /v1/reports/load; counts of leads, which are facts and have no interval."""
    facts = view.facts.where(~view.facts.is_one_of("mode", "shadow"))
    drawn = _counts(facts.codes("rep_drawn"), facts.words("rep_drawn"))
    working = _counts(facts.codes("rep_id"), facts.words("rep_id"))
    expected = _expected(view)
    rows = [_row(view, rep, drawn, working, expected) for rep in view.team_reps()]
    given = np.array([row["given"] for row in rows], dtype=float)
    return {
        **view.scope(),
        "unit": "leads",
        "reps": rows,
        "teams": _teams(rows),
        "gini_of_counts": number(gini(given)),
        "unassigned": count(facts.flag("unassigned")),
        "by_day": _by_day(view),
    }


def _row(
    view: View, rep: Rep, drawn: dict[str, int], working: dict[str, int], expected: dict[str, tuple[float, float]]
) -> dict[str, Any]:
    load = view.loads.get(rep.rep_id, Load(open=rep.open_count, today=0))
    rotation, chance = expected.get(rep.rep_id, (0.0, 0.0))
    return {
        "rep_id": rep.rep_id,
        "name": rep.name,
        "team": rep.team,
        "away": away(rep, view.at),
        "absent_from": rep.absent_from,
        "absent_until": rep.absent_until,
        "open": load.open,
        "capacity": rep.capacity,
        "open_share": load.open / rep.capacity if rep.capacity else None,
        "today": load.today,
        "daily_limit": rep.daily_limit,
        "full": (rep.capacity is not None and load.open >= rep.capacity)
        or (rep.daily_limit is not None and load.today >= rep.daily_limit),
        "last_assigned_at": load.last_assigned_at,
        "given": drawn.get(rep.rep_id, 0),
        "working": working.get(rep.rep_id, 0),
        "by_rotation": rotation,
        "by_chance": chance,
    }


def _counts(codes: np.ndarray, words: Any) -> dict[str, int]:
    known = np.bincount(codes[codes >= 0], minlength=len(words))
    return {word: int(found) for word, found in zip(words, known, strict=True) if found}


def _expected(view: View) -> dict[str, tuple[float, float]]:
    """What the control, and what the logged chances, would have given each rep on average."""
    sums: dict[str, tuple[float, float]] = defaultdict(lambda: (0.0, 0.0))
    for each in view.chances:
        control, mixture = sums[each.rep_id]
        sums[each.rep_id] = (control + each.control, mixture + each.mixture)
    return dict(sums)


def _teams(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    teams: dict[str | None, list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        teams[row["team"]].append(row)
    return [
        {
            "team": team,
            "reps": len(of_team),
            "here": sum(row["away"] is None for row in of_team),
            "open": sum(row["open"] for row in of_team),
            "capacity": sum(row["capacity"] for row in of_team)
            if all(row["capacity"] is not None for row in of_team)
            else None,
            "given": sum(row["given"] for row in of_team),
        }
        for team, of_team in sorted(teams.items(), key=lambda each: each[0] or "")
    ]


def _by_day(view: View) -> list[dict[str, Any]]:
    """Leads given on each of the last UTC days."""
    facts = view.of_team(view.facts)
    day = np.floor(facts.number("decided_at")).astype(np.int64)
    if not len(day):
        return []
    first = max(int(day.min()), int(day.max()) - MOST_DAYS + 1)
    counts = np.bincount(day[day >= first] - first)
    return [{"day": moment(first + place).date().isoformat(), "leads": int(n)} for place, n in enumerate(counts)]
