"""Senders that are killed after they have sent something and before they have written it all down."""

import json
import os
import signal
import subprocess
import sys
from collections import defaultdict
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from data.store.ledger import Ledger
from serving.webhooks import Sender

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


def kill(ledger, home, receivers, *, kills, endpoint, announce):
    """Nothing is lost, what comes twice has one id, and a lead's messages never overtake each other."""
    with receivers.receiver() as there:
        endpoint(ledger, there.url)
        count = 6 * kills
        for number in range(count):
            announce(ledger, f"L-{number % (2 * kills)}", number, at=datetime.now(UTC))
        for _ in range(kills):
            child = start(ledger, home)
            wait_for(there, len(there.got) + 1)
            os.kill(child.pid, signal.SIGKILL)
            child.communicate()
        child = start(ledger, home)
        wait_for(there, count, of=ids)
        child.communicate(b"\n")
    sent = [(request.headers["webhook-id"], json.loads(request.body)["data"]["number"]) for request in there.got]
    assert sorted(dict(sent).values()) == list(range(count))
    assert len(set(sent)) == count  # one id a message, however often it came
    first = defaultdict(list)
    for _, number in dict.fromkeys(sent):
        first[number % (2 * kills)].append(number)
    assert all(order == sorted(order) for order in first.values())
    return len(sent) - count


def ids(requests):
    return len({request.headers["webhook-id"] for request in requests})


def wait_for(there, count, of=len):
    with there.more:
        assert there.more.wait_for(lambda: of(there.got) >= count, timeout=60)


def start(ledger, home):
    """A process that sends until it is killed or told to end."""
    url = ledger.url.render_as_string(hide_password=False)
    root = str(Path(__file__).parent.parent)
    child = subprocess.Popen(
        [sys.executable, __file__, url, str(home)],
        env={**os.environ, "SECRET": SECRET, "PYTHONPATH": root},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert child.stdout.readline() == b"ready\n"
    return child


def main(url, home):
    """A short lease, so that the next sender need not wait long for what this one leaves behind."""
    ledger = Ledger.open(url, lock_timeout_s=30)
    clock = {"clock": lambda: datetime.now(UTC), "rng": np.random.default_rng()}
    sender = Sender(ledger, Path(home), **clock, lease_s=0.5, poll_s=0.02)
    print("ready", flush=True)
    sender.start()
    sys.stdin.readline()
    sender.stop()
    ledger.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
