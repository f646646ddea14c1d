"""How long the list of assignments takes over a million decisions on SQLite, at any cursor, filter and search.

`python -m tests.bench.pages [N]` fills a ledger with N decisions (1,000,000 if not given) and prints, for each list,
the slowest of some openings of the whole page, from request to the last byte, in milliseconds: in process, one thread.
"""

import json
import sys
import tempfile
import time
import warnings
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import quote

import numpy as np
from sqlalchemy import text

from data.roster import Rep
from data.settings import Settings
from data.store import keys, roster, sessions
from data.store.columns import to_microseconds
from data.store.ledger import Ledger
from data.store.packing import pack
from serving.app import build_app, layers
from serving.pages.visitor import SESSION
from serving.parts import put_together

NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)
REPS, DAYS, BLOCK, OPENINGS = 40, 700, 20_000, 5
LONGEST_MS = 300
SOURCES = ("web form", "referral", "trade fair", "search ad", "partner")
RARE_REP, RARE_WORD = "R-gone", "Quetzal"  # all of it lies at the list's far end


class NoModel:
    """A store of bundles without any."""

    problem = "none"

    def current(self):
        return None


def fill(ledger: Ledger, n: int) -> None:
    """N decisions of `DAYS` days; the oldest hundred are with a rep who has left, for a company like no other."""
    rng = np.random.default_rng(7)
    at = to_microseconds(NOW) - np.sort(rng.integers(0, DAYS * 86_400 * 10**6, n))[::-1]
    rep, source = rng.integers(REPS, size=n), rng.integers(len(SOURCES), size=n)
    arm = rng.choice(["model", "explore", "holdout"], p=[0.8, 0.1, 0.1], size=n)
    blob = pack({"probability": rng.random(REPS)})
    with ledger.writing() as tx:
        keys.ensure_client(tx, "default", at=NOW)
        roster.put_reps(tx, [Rep(f"R-{number}", f"Rep {number}", f"team {number % 5}") for number in range(REPS)],
                        actor="bench", at=NOW)  # fmt: skip
    for start in range(0, n, BLOCK):
        rows, states, people = [], [], []
        for i in range(start, min(start + BLOCK, n)):
            old = i < 100
            rep_id, grade = RARE_REP if old else f"R-{rep[i]}", "ABCD"[i % 4]
            company = f"{RARE_WORD} Mills" if old else f"Suzhou firm {i}"
            one = {"id": f"{i:032x}", "lead": f"L-{i}", "at": int(at[i]), "rep": rep_id}
            rows.append(one | {"arm": arm[i], "grade": grade, "source": SOURCES[source[i]], "vectors": blob})
            states.append(one | {"status": ("open", "won", "lost")[i % 3]})
            body = json.dumps({"company": company})
            people.append({"lead": f"L-{i}", "body": body, "search": company.casefold()})
        with ledger.writing() as tx:
            tx.execute(text(
                "INSERT INTO decisions (decision_id, client_id, request_digest, lead_id, spell_id, mode, decided_at, "
                "lead_snapshot, roster_version, candidates, excluded, vectors, arm, draw_number, rep_id, grade, "
                "source, uplift, uplift_low, uplift_high, probability_chosen) "
                "VALUES (:id, 'default', '', :lead, :id, 'live', "
                ":at, '{}', 1, '[]', '{}', :vectors, :arm, 0, :rep, :grade, :source, 0.04, 0.01, 0.08, 0.3)"), rows)
            tx.execute(text(
                "INSERT INTO decision_states (decision_id, rep_id, version, status, holds_slot, given_at, decided_at) "
                "VALUES (:id, :rep, 1, :status, false, :at, :at)"), states)
            tx.execute(text(
                "INSERT INTO personal_data (client_id, lead_id, body, search) "
                "VALUES ('default', :lead, :body, :search)"), people)  # fmt: skip


def main() -> None:
    n = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    with tempfile.TemporaryDirectory() as folder:
        ledger = Ledger.open(f"sqlite:///{folder}/ledger.db", lock_timeout_s=60)
        begun = time.perf_counter()
        fill(ledger, n)
        print(f"{n:,} decisions, filled in {time.perf_counter() - begun:.0f} s")
        parts = put_together(ledger, NoModel(), home=Path(folder), clock=lambda: NOW)
        with ledger.writing() as tx:
            key = keys.create(tx, role="manager", label="bench", at=NOW)
            session_id = sessions.open_session(tx, key.id, at=NOW, expires_at=NOW + timedelta(days=1))
        app = build_app()
        app.state.parts, asgi = parts, app
        for layer, arguments in reversed(layers(app, Settings())):
            asgi = layer(asgi, **arguments)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from starlette.testclient import TestClient
        http = TestClient(asgi, cookies={SESSION: session_id})
        worst = max(measure(http, n).values())
        ledger.close()
    print(f"slowest: {worst:.0f} ms (at most {LONGEST_MS} wanted)")
    sys.exit(worst > LONGEST_MS)


def measure(http, n: int) -> dict[str, float]:
    """Milliseconds of CPU of the slowest opening of each list."""
    span = DAYS * 86_400 * 10**6
    cursors = {"first page": ""}
    cursors |= {f"{share:.0%} back": f"{to_microseconds(NOW) - int(span * share)}-0" for share in (0.5, 0.95)}
    lists = {
        "all": "", "one rep": "rep=R-7", "a rep who left": f"rep={RARE_REP}", "nobody's": "rep=nobody",
        "a team": "team=team+1", "rare mix": "grade=A&arm=holdout&source=partner", "no such source": "source=none",
        "30 days": "range=30d", "search: one company": "q=firm+123456", "search: a rare word": f"q={RARE_WORD}",
        "search: every company": "q=suzhou", "search: a lead": "q=L-4711", "search: nothing": "q=zzzz",
        "search and rep": "q=suzhou&rep=R-3",
    }  # fmt: skip
    found = {}
    http.get("/assignments")  # the template is read once
    for name, query in lists.items():
        for where, cursor in cursors.items():
            took = []
            for _ in range(OPENINGS):
                begun = time.process_time()
                reply = http.get(f"/assignments?{query}&cursor={quote(cursor)}")
                took.append(1000 * (time.process_time() - begun))
                assert reply.status_code == 200, reply.text[:300]
            found[f"{name}, {where}"] = max(took)
            print(f"{name:24} {where:12} {max(took):7.0f} ms  (median {sorted(took)[len(took) // 2]:.0f})")
    return found


if __name__ == "__main__":
    main()
