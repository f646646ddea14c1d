"""The benchmark's own arithmetic, and that it measures the thing itself."""

import signal
import subprocess
import sys
from pathlib import Path

import httpx
import numpy as np
import pytest

from data.errors import RefusedError
from pipelines.bench import job, starting, telling
from pipelines.bench.measure import growth, in_turn, spread
from pipelines.bench.scoring import Scoring
from pipelines.bench.world import requests, roster_of
from training.conversion import RosterModel


def test_growth_by_hand():
    sizes = [10, 100, 1_000]
    assert growth(sizes, [5.0, 50.0, 500.0]) == pytest.approx(1)
    assert growth(sizes, [7.0, 7.0, 7.0]) == pytest.approx(0)
    assert growth(sizes, [1.0, 100.0, 10_000.0]) == pytest.approx(2)


def test_jobs_take_turns_and_the_first_round_only_warms_up():
    seen = []
    found = in_turn({"a": (lambda n: seen.append(("a", n)), 2), "b": (lambda n: seen.append(("b", n)), 1)}, rounds=2)
    assert [name for name, _ in seen] == ["a", "a", "b"] * 3
    assert [number for _, number in seen] == list(range(1, 10))  # no two calls ask the same
    assert set(found) == {"a", "b"}


def test_a_spread_by_hand():
    found = spread([n / 1e6 for n in range(1, 102)])
    assert (found.low, found.median, found.high) == pytest.approx((11, 51, 91))


def test_a_ratio_has_fallen_under_half_of_the_recorded_one():
    cases = [
        {"case": "x", "against": "y", "ratio": 4.9},
        {"case": "x", "against": "z", "ratio": 5.1},
        {"case": "new", "against": "y", "ratio": 0.1},
    ]
    known = {"x / y": 10.0, "x / z": 10.0}
    assert job.fallen(cases, known) == [{"case": "x / y", "ratio": 4.9, "recorded": 10.0}]


def test_the_record_names_cases_and_ratios():
    assert all(" / " in name and ratio > 0 for name, ratio in job.recorded().items())


def test_starts_are_told_by_their_median_and_range(capsys):
    case = starting._case("start", [(3.0, 1.5), (1.0, 0.5), (2.5, 2.0)])
    telling.told({"machine": {"compiled": True}, "cases": [], "alone": [case], "growth": [], "fallen": []})
    said = "start: 2.50 s (1.00 s to 3.00 s of 3 starts; 1.50 s of processor time)"
    assert said in capsys.readouterr().out


def test_memory_is_told_in_its_own_unit(capsys):
    case = {"case": "memory", "unit": "MB resident", "ours_mb": 123.4}
    telling.told({"machine": {"compiled": True}, "cases": [], "alone": [case], "growth": [], "fallen": []})
    assert "memory: 123 MB resident" in capsys.readouterr().out


def test_a_start_is_the_command_s_and_within_it_the_worker_s(tmp_path):
    told = starting.started(tmp_path)
    assert 0 < told.worker_s < told.whole_s
    assert 0 < told.worker_cpu_s < told.all_cpu_s
    assert (tmp_path / "ledger.db").exists()
    assert '"route": "/readyz", "status": 200' in (tmp_path / "starts.log").read_text()


def test_a_wider_floor_has_reps_of_its_own(small_model):
    wide, reps = roster_of(small_model, 7)
    assert len({rep.rep_id for rep in reps}) == 7
    p = RosterModel(wide, reps).probability(np.array([[1.0, 80.0, 9.0, 2.0]]), np.array([20_000.0]))[0]
    assert len(set(p.tolist())) == 7


def test_what_is_measured_is_a_whole_answer(small_model):
    measured = Scoring(small_model, [{"lead_id": "L-1", "industry": "retail", "company_size": 80}], 9)
    intervals, shares = measured.ours(3)
    assert shares.shape == (5, len(measured.scorer.terms))
    for place, own in enumerate(shares):
        assert own.sum() == pytest.approx(intervals.value[place], abs=1e-12)
        assert intervals.low[place] < intervals.value[place] < intervals.high[place]
    assert measured.floor(3) == pytest.approx(measured.table_floor(3))


def test_leads_are_sent_without_what_is_missing(small_world):
    sent = requests(small_world[0].leads.head(50))
    assert all(value is not None and value == value for lead in sent for value in lead.values())
    assert all(isinstance(lead["created_at"], str) for lead in sent)


def test_an_answer_without_success_ends_the_comparison():
    import threading
    from http.server import BaseHTTPRequestHandler, HTTPServer

    from pipelines.bench.client import Client

    class Refuses(BaseHTTPRequestHandler):
        def do_POST(self):
            self.send_response(503)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Refuses)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        with pytest.raises(RefusedError, match="answered 503"):
            Client(f"http://127.0.0.1:{server.server_port}").post("/v1/score", b"{}")
    finally:
        server.shutdown()
        server.server_close()


def test_a_terminated_benchmark_leaves_no_service_behind(tmp_path):
    code = (
        "import sys, time; from pathlib import Path; from pipelines.bench.http import BARE, _echo\n"
        "from pipelines.serve import end_in_order\n"
        "end_in_order()\n"
        "with _echo(Path(sys.argv[1]), 'bare', BARE) as url:\n"
        "    print(url, flush=True)\n"
        "    time.sleep(60)\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    root = Path(job.__file__).parents[2]
    with subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as running:
        url = running.stdout.readline().strip()
        assert httpx.post(f"{url}/echo", json={}).status_code == 200
        running.send_signal(signal.SIGTERM)
    with pytest.raises(httpx.HTTPError):
        httpx.post(f"{url}/echo", json={})
