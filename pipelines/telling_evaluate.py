"""What `evaluate` and `plan` say to a person when nobody asked for JSON."""

from collections.abc import Callable
from typing import Any

from pipelines.console import OUT, table


def evaluated(made: dict[str, Any]) -> None:
    """What each policy would have been worth."""
    from pipelines.evaluate_report import UNIT  # with all that judging takes, which no other command needs

    rows = made["rows"]
    OUT.print(f"{rows['judged']:,} leads judged: {made['label']}. In {made['unit']}.", markup=False)
    rate, points = (_rate, _points) if made["unit"] == UNIT else (_amount, _signed_amount)
    headlines = [row for row in made["policies"] if row["headline"]]
    table(
        "What each policy would have been worth (90 % intervals)",
        ["policy", "value", "low", "high", "by", "counts as", ""],
        [
            [row["name"], *(rate(row[end]) for end in ("value", "low", "high")), row["estimator"],
             f"{row['effective_sample_size']:,.0f} of {row['rows']:,}", row["warning"]]
            for row in headlines
        ],
    )  # fmt: skip
    over = [row for row in made["differences"] if row["over"] == made["baseline"]]
    table(
        f"Over {made['baseline']}, in {'points' if made['unit'] == UNIT else made['unit']}",
        ["policy", "gain", "low", "high"],
        [[row["name"], *(points(row[end]) for end in ("value", "low", "high"))] for row in over],
    )
    if made["trial"]:
        _trial(made["trial"], points)
    for one in made["refused"]:
        OUT.print(f"- {one['name']}: no figure. {one['why']}", markup=False)
    for one in made["diagnostics"]:
        if one["warning"]:
            OUT.print(f"- {one['name']}: {one['warning']}", markup=False)
    for note in made["notes"]:
        OUT.print(f"- {note}", markup=False)


def replayed(made: dict[str, Any]) -> None:
    """What a rule book would have done with the ledger's decisions."""
    OUT.print(made["text"]["en"], markup=False)
    for why, n in made["left_out"].items():
        OUT.print(f"- {n:,} left out: {why}.", markup=False)
    if made["asks_others"]:
        OUT.print(f"- For {made['asks_others']:,} it would also ask reps of whom nothing was logged.", markup=False)
    rows = [
        [rep["rep_id"], rep["name"] or "", *(f"{rep[name]:,.1f}" for name in ("leads_then", "leads", "difference"))]
        for rep in made["reps"]
    ]
    table("Leads by rep, expected", ["rep", "name", "as it ran", "replayed", "difference"], rows)


def _trial(trial: dict[str, Any], points: Callable[[float | None], str]) -> None:
    """The holdout's own figures, and the alarm if it contradicts the replay."""
    rows = [
        [name, *(points(trial[key][end]) for end in ("value", "low", "high"))]
        for name, key in (("lift", "lift"), ("with less noise", "adjusted"), ("holds at every look", "always_valid"))
    ]
    title = f"Holdout: {trial['held_out']:,} of {trial['leads']:,} leads against the others"
    table(title, ["", "gain", "low", "high"], rows)
    if trial["agreement"] and trial["agreement"]["disagree"]:
        OUT.print(f"- {trial['agreement']['warning']}", markup=False)


def planned(made: dict[str, Any]) -> None:
    """How long a trial must run."""
    OUT.print(
        f"To find {made['lift_points']:.1f} points above {made['rate']:.1%} with power {made['power']:.0%} "
        f"(two-sided {made['significance']:.0%}), at {made['leads_per_month']:,.0f} leads a month:"
    )
    rows = [[f"{each['share']:.0%}", f"{each['leads']:,}", f"{each['months']:.1f}"] for each in made["shares"]]
    table("", ["held out", "leads in all", "months"], rows)
    OUT.print(made["note"])


def _rate(value: float | None) -> str:
    return "" if value is None else f"{value:.2%}"


def _points(value: float | None) -> str:
    return "" if value is None else f"{100 * value:+.2f}"


def _amount(value: float | None) -> str:
    return "" if value is None else f"{value:,.2f}"


def _signed_amount(value: float | None) -> str:
    return "" if value is None else f"{value:+,.2f}"
