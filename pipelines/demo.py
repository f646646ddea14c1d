"""`make demo`: a simulated floor's history becomes a champion, a service, and explained decisions."""

import contextlib
import json
import os
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import numpy as np

from data.settings import Settings, read_settings
from data.simulator import World, simulate, write
from data.store import keys, sessions
from data.store.folders import make_folder
from data.store.ledger import Ledger
from pipelines import telling
from pipelines.console import OUT
from pipelines.demo_rows import NEVER_FEATURES, sendable
from pipelines.demo_weeks import DAYS, LEADS_A_DAY, live_through
from pipelines.progress import Step, on_terminal
from pipelines.serve import Running, refuse_if_taken, start
from pipelines.train import train

LEADS, REPS, SEED = 60_000, 40, 7
SENT = 120  # leads that the demo's CRM sends
LINK_LASTS = timedelta(hours=12)
SPREAD_MINUTES = 240  # over which they arrived, up to now


def job_home(settings: Settings) -> Path:
    """Where the demo's data set lies."""
    return settings.home / "demo"


def demo(*, port: int) -> None:
    """Run the story; stays up until stopped, or ends after the printing where DEMO_EXIT=1."""
    settings, step = read_settings(), on_terminal()
    make_folder(settings.home)
    refuse_if_taken("127.0.0.1", port)  # not only after the minutes that the history takes
    step(f"simulating a sales floor: {LEADS:,} leads, {REPS} seats")
    world = simulate(leads=LEADS, reps=REPS, seed=SEED)
    write(world, job_home(settings))
    trained = train(job_home(settings), settings=settings, step=step)
    telling.trained(trained)
    live_through(settings, world, until=datetime.now(UTC) - timedelta(minutes=SPREAD_MINUTES), step=step)
    step("making keys and starting the service")
    made = make_keys(settings, world.rep_ids[0])
    running = start(port=port, log=settings.home / "service.log")
    try:
        with caller(running, made["manager"]) as manager, caller(running, made["crm"]) as crm:
            answers = send_leads(crm, world, step=step)
            send_outcomes(crm, answers)
            send_absence(manager, answers)
        ends = os.environ.get("DEMO_EXIT") == "1"
        show(answers, running, made, ends=ends)
        if not ends:
            OUT.print("\nThe service stays up; Ctrl-C ends it.")
            running.wait()
    except KeyboardInterrupt:
        OUT.print("Ended.")
    finally:
        running.stop()


def make_keys(settings: Settings, rep_id: str) -> dict[str, str]:
    """A key of each role that the demo uses, and links that sign a manager and a rep in."""
    ledger = Ledger.open(settings.ledger_url)
    try:
        with ledger.writing() as tx:
            now = datetime.now(UTC)
            made = {role: keys.create(tx, role=role, label="demo", at=now) for role in ("crm", "manager")}
            made["rep"] = keys.create(tx, role="rep", label="demo", at=now, rep_id=rep_id)
            links = {
                f"{role}_link": sessions.make_link(tx, made[role].id, expires_at=now + LINK_LASTS)
                for role in ("manager", "rep")
            }
            return {role: key.key for role, key in made.items()} | links
    finally:
        ledger.close()


@contextlib.contextmanager
def caller(running: Running, key: str) -> Iterator[httpx.Client]:
    """A client of the service that sends one key."""
    headers = {"Authorization": f"Bearer {key}"}
    with httpx.Client(base_url=running.url, headers=headers, timeout=30.0) as client:
        yield client


def send_leads(crm: httpx.Client, world: World, *, step: Step) -> list[dict[str, Any]]:
    """The decisions on leads that arrived in the last hours."""
    now = datetime.now(UTC).replace(microsecond=0)
    # Another batch each time the demo runs: a lead that was decided once keeps its decision.
    # Those with the numbers of the weeks before would have their telephones, too: the same customers.
    leads = world.fresh_leads(DAYS * LEADS_A_DAY + SENT, int(now.timestamp()) % 1_000_000).tail(SENT)
    arrived = [now - timedelta(minutes=float(m)) for m in np.linspace(SPREAD_MINUTES, 0, SENT)]
    leads = leads.drop(columns=list(NEVER_FEATURES)).assign(created_at=[at.isoformat() for at in arrived])
    step(f"sending {SENT} leads to {crm.base_url}")
    answers = []
    for lead in leads.to_dict("records"):
        reply = crm.post("/v1/assign", json={"lead": sendable(lead)})
        reply.raise_for_status()
        answers.append(reply.json())
    return answers


def send_outcomes(crm: httpx.Client, answers: Sequence[dict[str, Any]]) -> None:
    """What happened to some of them: contacted in time, a few lost at once, a few won."""
    now = datetime.now(UTC)
    events = []
    for place, answer in enumerate(a for a in answers if a["rep_id"]):
        kinds = ["contacted"] if place % 2 == 0 else []
        kinds += ["lost"] if place % 9 == 0 else ["won"] if place % 14 == 0 else []
        events += [
            {
                "event_id": f"demo-{answer['decision_id']}-{kind}",
                "lead_id": answer["lead_id"],
                "event": kind,
                "occurred_at": (now + timedelta(seconds=number)).isoformat(),
            }
            for number, kind in enumerate(kinds)
        ]
    crm.post("/v1/outcomes", json=events).raise_for_status()


def send_absence(manager: httpx.Client, answers: Sequence[dict[str, Any]]) -> None:
    """One of the reps is away until the day after tomorrow."""
    rep_id = next(a["rep_id"] for a in reversed(answers) if a["rep_id"])
    now = datetime.now(UTC)
    away = {"absent_from": now.isoformat(), "absent_until": (now + timedelta(days=2)).isoformat()}
    manager.patch(f"/v1/reps/{rep_id}", json=away).raise_for_status()


def show(answers: Sequence[dict[str, Any]], running: Running, made: dict[str, str], *, ends: bool) -> None:
    """Print one decision with its reasons, and where to go from here; ends: the service stops after this."""
    chosen = max((a for a in answers if a["rep_id"]), key=lambda a: a["uplift"]["value"])
    uplift = chosen["uplift"]
    OUT.print(f"\nLead {chosen['lead_id']} goes to {chosen['rep_name'] or chosen['rep_id']} ({chosen['rep_id']}).")
    OUT.print(
        f"Chance {chosen['probability']:.0%} against {chosen['baseline_probability']:.0%} under rotation: "
        f"{100 * uplift['value']:+.1f} points ({100 * uplift['low']:.1f} to {100 * uplift['high']:.1f}). "
        f"Lead score {chosen['lead_score']}, grade {chosen['grade']}."
    )
    for reason in chosen["reasons"]:
        OUT.print(f"  {reason['text']}", markup=False)
    if chosen["over"]:
        OUT.print(f"  {chosen['over']['text']}", markup=False)
    given = sum(a["rep_id"] is not None for a in answers)
    OUT.print(f"\n{given} of {len(answers)} leads were assigned. The interface: {running.url}/docs")
    if ends:
        port = running.url.rpartition(":")[2]
        OUT.print(f"The service ends now. For what follows, start it again: .venv/bin/leadmatch serve --port {port}")
    body = json.dumps({"lead": {"lead_id": "L-TRY-1", "region": "Jiangsu", "industry": "manufacturing"}})
    OUT.print("Try it:", markup=False)
    OUT.print(
        f"  curl -s {running.url}/v1/assign -H 'Authorization: Bearer {made['crm']}' "
        f"-H 'Content-Type: application/json' -d '{body}'",
        markup=False,
    )
    OUT.print(f"\nThe pages are at {running.url}/ . Each of these links signs in once:", markup=False)
    for role in ("manager", "rep"):
        address = f"  {role}: {running.url}/sign-in/{made[f'{role}_link']}"
        OUT.print(address, markup=False, soft_wrap=True)
    OUT.print(f"A manager's key for /v1/decisions, /v1/reps and the rest: {made['manager']}", markup=False)

