"""What each command says to a person when nobody asked for JSON."""

import math
from typing import TYPE_CHECKING, Any

from data.names import listed
from pipelines.console import OUT, figure, points, table

if TYPE_CHECKING:  # what only some commands need would keep every command waiting
    from data.store.keys import Key
    from pipelines.doctor import Finding


def simulated(made: dict[str, Any]) -> None:
    """What `simulate` wrote."""
    OUT.print(f"{made['out']}: {made['leads']:,} leads, {made['reps']:,} reps, {made['assignments']:,} assignments")


def imported(made: dict[str, Any]) -> None:
    """What `import` read and refused."""
    rows = [[file, n["read"], n["accepted"], n["rejected"]] for file, n in made["files"].items()]
    table("Rows", ["file", "read", "accepted", "rejected"], rows)
    if made["rejected"]:
        title = "Refused (each row with its reason is in rejects.csv)"
        table(title, ["reason", "rows"], list(made["rejected"].items()))
    table("Outcomes", ["outcome", "rows"], [[k, v] for k, v in made["outcomes"].items()])
    if made["not_recognised"]:
        OUT.print(f"Columns the mapping does not know, kept as attributes: {', '.join(made['not_recognised'])}")
    _notes(made["notes"])
    OUT.print(f"Data set in {made['out']}. Next: leadmatch check --data {made['out']}")


def checked(made: dict[str, Any]) -> None:
    """What `check` found."""
    rows = made["rows"]
    young = rows.get("young", 0)
    OUT.print(
        f"{rows['used'] - young:,} rows with a mature outcome ({rows['immature']:,} too young or open, "
        f"{rows['rejected']:,} refused); {made['conversion_rate']:.1%} converted within {made['window_days']:.0f} days."
    )
    if young:
        OUT.print(f"{young:,} younger rows count with what is to be expected of them (`labels: expected`).")
    _delay(made["delay"])
    table("Left out of the features", ["column", "why"], [[c["column"], c["why"]] for c in made["columns"]["excluded"]])
    table("Why leads were given to their reps", ["assigned_by", "rows"], list(made["reasons"].items()))
    _potential(made["potential"])
    if made["hidden_picking"]:
        OUT.print("Could hidden hand-picking explain it?")
        _notes(made["hidden_picking"]["said"])
    _notes([*made["warnings"], *made["notes"]])


def _delay(delay: dict[str, Any] | None) -> None:
    if delay is None or not delay["segments"]:
        return
    segments = delay["segments"]
    days = [f"{point['days']:.0f} d" for point in segments[0]["shares"]]
    by = f", by {delay['by']}" if delay["by"] else ""
    table(
        f"Share of the conversions within the window that have come{by}",
        ["", "conversions", "half within", "nine tenths", *days],
        [
            [one["segment"], f"{one['conversions']:,}", f"{one['half_days']:.0f} d", f"{one['most_days']:.0f} d",
             *(f"{point['share']:.0%}" for point in one["shares"])]
            for one in segments
        ],
    )  # fmt: skip


def trained(made: dict[str, Any]) -> None:
    """What `train` made."""
    both = made["metrics"], made["lead_alone_metrics"]
    rows = [[name, figure(both[0][name]), figure(both[1][name])] for name in both[0]]
    table("On the newest fifth of the rows, which the judged fit had not seen",
          ["metric", "lead and rep", "lead alone"], rows)  # fmt: skip
    _worth(made["value_metrics"])
    _potential(made["potential"])
    state = "is now the champion" if made["promoted"] else "is kept as a challenger"
    OUT.print(f"Model version {made['model_version']} {state}.")
    _notes(made["grounds"])


def matched(made: dict[str, Any]) -> None:
    """What `match` wrote."""
    counts = f"{made['assigned']:,} of {made['leads']:,} leads"
    OUT.print(f"{counts} assigned by model {made['model_version']}: {made['out']}")
    if made["unassigned"]:
        OUT.print(f"{made['unassigned']:,} found nobody eligible or free; the file says which.")
    if made["rejected"]:
        where = made["rejects"] or "nowhere, as the folder cannot be written"
        OUT.print(f"{made['rejected']:,} rows of the file cannot be used; their lines and why: {where}")
    if made["missing"]:
        OUT.print(f"Not in the file, though the model or the rules look at it: {listed(made['missing'])}.")
    OUT.print(_verdict(made["verdict"]))


def serving(made: dict[str, Any]) -> None:
    """Where the service answers, now that it does."""
    OUT.print(f"Ready at {made['url']}; Ctrl-C ends it.")


def monitored(made: dict[str, Any]) -> None:
    """What `monitor` found."""
    rows = [["ALARM" if check["raised"] else "quiet", check["kind"], check["text"]] for check in made["checks"]]
    table(f"Model {made['model_version'] or 'none'}", ["state", "check", "found"], rows)
    moved = [one for check in made["checks"] for one in check.get("features", [])][:5]
    if moved:
        table("The features that moved most", ["feature", "stability index", "by chance alone"],
              [[one["feature"], f"{one['index']:.3f}", f"{one['noise']:.3f}"] for one in moved])  # fmt: skip


def exported(made: dict[str, Any]) -> None:
    """What `export` wrote."""
    OUT.print(f"{made['tables']['assignments']:,} assignments of {made['tables']['leads']:,} leads in {made['out']}")


def models(made: dict[str, Any]) -> None:
    """The registered versions."""
    if not made["models"]:
        OUT.print("No model yet: leadmatch train --data DIR.")
        return
    state = {True: "champion", False: ""}
    rows = [[m["version"], state[m["champion"]], m["created_at"][:19], m["run_id"]] for m in made["models"]]
    table("Models", ["version", "", "created (UTC)", "run"], rows)


def model(made: dict[str, Any]) -> None:
    """One version."""
    state = ", the champion" if made["champion"] else ""
    OUT.print(f"Version {made['version']}{state}, made {made['created_at'][:19]}")
    table("Metrics", ["metric", "value"], [[name, figure(m)] for name, m in made["metrics"].items()])
    table("Trained with", ["parameter", "value"], list(made["parameters"].items()))


def promoted(made: dict[str, Any]) -> None:
    """Who is champion now."""
    OUT.print(f"Version {made['version']} is the champion (before: {made['previous'] or 'none'}).")


def key(made: dict[str, Any]) -> None:
    """A new key, once."""
    OUT.print(f"Key of role {made['role']}, id {made['id']}. It is shown only now:\n{made['key']}")
    if "link" in made:
        OUT.print(f"Opens the pages, once, within two days:\n{made['link']}", soft_wrap=True)


def plain_key(one: "Key") -> dict[str, Any]:
    """A key without its secret, as plain values."""
    return {
        "id": one.id,
        "role": one.role,
        "client_id": one.client_id,
        "rep_id": one.rep_id,
        "label": one.label,
        "created_at": _iso(one.created_at),
        "expires_at": _iso(one.expires_at),
        "revoked_at": _iso(one.revoked_at),
    }


def keys(made: dict[str, Any]) -> None:
    """All keys."""
    rows = [[k["id"], k["role"], k["client_id"], k["label"], k["revoked_at"] or ""] for k in made["keys"]]
    table("Keys", ["id", "role", "client", "label", "revoked"], rows)


def revoked(made: dict[str, Any]) -> None:
    """A key's end."""
    OUT.print(f"Key {made['id']} is revoked.")


def roster(made: dict[str, Any]) -> None:
    """The roster's new version."""
    gone = f" ({made['gone']:,} have left or are not active)" if made["gone"] else ""
    OUT.print(f"{made['reps']:,} reps are on the roster now{gone}.")


def plain_finding(one: "Finding") -> dict[str, Any]:
    """A finding of the doctor, as plain values."""
    return dict(vars(one))


def findings(made: dict[str, Any]) -> None:
    """What the doctor found."""
    if not made["findings"]:
        OUT.print("Everything the ledger keeps beside its rows agrees with them.")
    for one in made["findings"]:
        OUT.print("  ".join(f"{name}: {value}" for name, value in one.items()), markup=False)


def _worth(metrics: dict[str, Any]) -> None:
    if not metrics:
        return
    factor, level = metrics["median_log_error"]["value"], metrics["level"]
    OUT.print(
        f"What a won lead is worth is missed by a factor of {math.exp(factor):.2f} or less in half of the deals; "
        f"on the whole it is expected at {figure(level)} of what was seen."
    )


def _potential(potential: dict[str, Any]) -> None:
    gain = potential["gain"]
    OUT.print(f"{_verdict(potential['verdict'])} {potential['why']}")
    if gain["value"] is not None:
        OUT.print(
            f"Measured on later rows, matching at equal capacity gains {points(gain['value'])} over rotation "
            f"({points(gain['low'])} to {points(gain['high'])}, 90 %). Observational until a trial has run."
        )


def _verdict(verdict: str) -> str:
    from training.potential import IN_WORDS

    english, _ = IN_WORDS[verdict]
    return english


def _notes(notes: list[str]) -> None:
    for note in notes:
        OUT.print(f"- {note}", markup=False)


def _iso(moment: Any) -> str | None:
    return moment.isoformat() if moment else None
