"""The command line's outside: one line for what cannot be used, its status, and the progress of long work."""

import json
import socket

import pytest
from typer.testing import CliRunner

from pipelines import cli


@pytest.fixture
def leadmatch(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LEADMATCH_HOME", str(tmp_path / "home"))
    (tmp_path / "taken").write_text("a file where a folder would have to be")

    def call(*arguments):
        return CliRunner().invoke(cli.app, [str(one) for one in arguments], prog_name="leadmatch")

    return call


def refused(said, status=2):
    assert said.exit_code == status, said.output
    assert said.stdout == ""
    (line,) = [line for line in said.stderr.splitlines() if " s  " not in line]  # without the steps
    return line


PLAN = ("plan", "--leads-per-month", "1000", "--rate")


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ((*PLAN, "abc", "--lift", "2"), "--rate: must be a valid number; see leadmatch plan --help."),
        ((*PLAN, ".1"), "Missing option '--lift'; see leadmatch plan --help."),
        ((*PLAN,), "Option '--rate' requires an argument; see leadmatch plan --help."),
        (("plan", "--speed", "2"), "No such option: --speed; see leadmatch plan --help."),
        (("planet",), "No such command 'planet'"),
        (("--speed",), "No such option: --speed; see leadmatch --help."),
        (("model", "shw"), "No such command 'shw'"),
        (("model", "promote"), "Missing argument 'version'; see leadmatch model promote --help."),
        (("train", "--data", "x", "--promote", "perhaps"), "--promote: 'perhaps' is not one of 'auto', 'never'"),
        (("keys", "create", "--role", "crm", "--days", "0"), "--days: must be greater than or equal to 1"),
    ],
)
def test_words_that_no_command_knows_are_one_line_that_says_where_to_look(leadmatch, arguments, line):
    told = refused(leadmatch(*arguments))
    assert told.startswith(f"leadmatch: {line}")
    assert told.endswith(" --help.")


@pytest.mark.parametrize(("arguments", "status"), [((), 2), (("model",), 2), (("--help",), 0), (("plan", "--help"), 0)])
def test_whoever_asks_for_nothing_or_for_help_sees_the_help(leadmatch, arguments, status):
    said = leadmatch(*arguments)
    assert said.exit_code == status
    assert said.output.lstrip().startswith("Usage: leadmatch")
    assert "--help" in said.output
    assert "\u256d" not in said.output  # no frames


@pytest.mark.parametrize(
    "arguments",
    [
        ("simulate", "--leads", 50, "--reps", 3, "--out", "taken/floor"),
        ("backup", "--out", "taken/ledger.backup"),
        ("backup", "--out", "/proc/ledger.backup"),
    ],
)
def test_a_place_that_cannot_be_written_to_is_named_in_one_line(leadmatch, arguments):
    line = refused(leadmatch(*arguments))
    assert arguments[-1].partition("/")[0] in line
    assert "cannot be written or read (" in line
    assert line.endswith("; choose another path.")


def test_an_error_of_a_file_that_is_ours_alone_is_unforeseen(leadmatch, monkeypatch):
    def broken(**_sizes):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pipelines.simulate.simulate", broken)
    assert "No space left" in refused(leadmatch("simulate", "--out", "floor"), status=3)


def test_a_match_into_a_folder_is_refused_before_any_work(leadmatch, tmp_path):
    (tmp_path / "big").mkdir()
    line = refused(leadmatch("match", "--data", "nowhere", "--leads", "new.csv", "--out", "big"))
    assert line == "leadmatch: big: is a folder; name a file to write."
    assert not (tmp_path / "big.parts").exists()


def test_a_registry_out_of_reach_is_one_line_that_says_what_to_do(leadmatch, monkeypatch):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{port}")
    line = refused(leadmatch("model", "list"))
    assert line.startswith(f"leadmatch: The model registry at http://127.0.0.1:{port} cannot be reached (")
    assert line.endswith("start it, or set MLFLOW_TRACKING_URI to another.")


def test_long_work_tells_its_steps_beside_the_one_object(leadmatch):
    said = leadmatch("simulate", "--leads", 50, "--reps", 3, "--out", "floor", "--json")
    assert json.loads(said.stdout)["leads"] == 50
    assert [step in said.stderr for step in ("drawing 50 leads", "writing floor")] == [True, True]
    files = [f"floor/{name}.csv" for name in ("leads", "reps", "assignments")]
    said = leadmatch("import", *files, "--mapping", "floor/dataset.yaml", "--out", "again", "--json")
    assert said.exit_code == 0, said.output
    assert json.loads(said.stdout)["tables"]["leads"] == 50
    assert [step in said.stderr for step in ("reading floor/leads.csv", "writing again")] == [True, True]
