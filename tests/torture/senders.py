"""Senders of webhooks that are killed after they have sent something and before they have written it all down."""

import json
import os
import signal
import subprocess
import sys
from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from data.store import endpoints, outbox
from data.store.endpoints import Endpoint
from data.store.ledger import Ledger
from serving.events.webhooks import Sender
from tests import receivers

ROOT = Path(__file__).parent.parent.parent
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
A_KILL, LEADS_A_KILL = 6, 2  # messages and leads for each kill


@dataclass(frozen=True)
class Killed:
    """What arrived although its senders were killed."""

    kills: int
    messages: int
    arrived: int  # requests, repetitions among them
    lost: int
    renamed: int  # messages that came again under another id
    overtaken: int  # leads whose messages came in another order

    def __str__(self) -> str:
        return (
            f"{self.kills} senders killed, {self.messages} messages: {self.lost} lost, "
            f"{self.arrived - self.messages} came again, {self.renamed} of them under another id; "
            f"{self.overtaken} leads out of order"
        )


def kill(ledger: Ledger, home: Path, kills: int) -> Killed:
    """Kill a sender as soon as it has sent something, `kills` times; let the last one finish."""
    count, leads = A_KILL * kills, LEADS_A_KILL * kills
    with receivers.receiver() as there:
        _announce(ledger, there.url, count, leads)
        for _ in range(kills):
            child = _started(ledger, home)
            _wait_for(there, len(there.got) + 1)
            os.kill(child.pid, signal.SIGKILL)
            child.communicate()
        child = _started(ledger, home)
        _wait_for(there, count, of=_ids)
        child.communicate(b"\n")
    sent = [(request.headers["webhook-id"], json.loads(request.body)["data"]["number"]) for request in there.got]
    in_order: dict[int, list[int]] = defaultdict(list)
    for _, number in dict.fromkeys(sent):
        in_order[number % leads].append(number)
    return Killed(
        kills=kills,
        messages=count,
        arrived=len(sent),
        lost=len(set(range(count)) - {number for _, number in sent}),
        renamed=len(set(sent)) - len({number for _, number in sent}),
        overtaken=sum(numbers != sorted(numbers) for numbers in in_order.values()),
    )


def _announce(ledger: Ledger, url: str, count: int, leads: int) -> None:
    now = datetime.now(UTC)
    made = Endpoint(
        endpoint_id="E-killed", kind="webhook", url=url, topics=("assigned",), client_id=None,
        secret_from="env:SECRET", private_allowed=True, actor="test", created_at=now,
    )  # fmt: skip
    with ledger.writing() as tx:
        endpoints.add(tx, made)
        for number in range(count):
            about = {"client_id": "crm", "lead_id": f"L-{number % leads}", "data": {"number": number}}
            outbox.announce(tx, "assigned", at=now, **about)


def _ids(requests: list[Any]) -> int:
    return len({request.headers["webhook-id"] for request in requests})


def _wait_for(there: Any, count: int, of: Any = len) -> None:
    with there.more:
        assert there.more.wait_for(lambda: of(there.got) >= count, timeout=60)


def _started(ledger: Ledger, home: Path) -> "subprocess.Popen[bytes]":
    """A process that sends until it is killed or told to end."""
    url = ledger.url.render_as_string(hide_password=False)
    child = subprocess.Popen(
        [sys.executable, "-m", "tests.torture.senders", url, str(home)],
        cwd=ROOT,
        env={**os.environ, "SECRET": SECRET},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert child.stdout is not None
    assert child.stdout.readline() == b"ready\n"
    return child


def main(url: str, home: str) -> None:
    """A short lease, so that the next sender need not wait long for what this one leaves behind."""
    ledger = Ledger.open(url, lock_timeout_s=30)
    rng = np.random.default_rng()
    sender = Sender(ledger, Path(home), clock=lambda: datetime.now(UTC), rng=rng, lease_s=0.5, poll_s=0.02)
    print("ready", flush=True)
    sender.start()
    sys.stdin.readline()
    sender.stop()
    ledger.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
