"""The command line. Each command reads its options, calls one job and prints what came of it."""

from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from data.errors import InputError, RefusedError
from pipelines import cli_admin, cli_rules, opened, telling, telling_evaluate
from pipelines.console import Commands, command, say
from pipelines.opened import ledger, settings
from pipelines.progress import on_terminal

app = typer.Typer(
    name="leadmatch",
    cls=Commands,
    help="Which sales rep should get this lead, why, and what the choice was worth.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    add_completion=False,
)
cli_admin.attach(app)
cli_rules.attach(app)

Json = Annotated[bool, typer.Option("--json", help="One JSON object on standard output, progress on standard error.")]
DataFolder = Annotated[Path, typer.Option("--data", help="Folder of a data set, or one flat file.")]
OnCluster = Annotated[
    str | None,
    typer.Option("--cluster", help="Scheduler of a Dask cluster, tcp://HOST:8786; else LEADMATCH_DASK, else here."),
]
Seed = Annotated[int, typer.Option(help="Same data, seed and version give the same model.")]


class Promote(StrEnum):
    """Whether a new model may become champion."""

    auto = "auto"
    never = "never"


class Capacity(StrEnum):
    """Which limits a batch keeps."""

    reps = "reps"
    none = "none"


class Switch(StrEnum):
    """On or off."""

    on = "on"
    off = "off"


@app.command()
@command
def simulate(
    out: Annotated[Path, typer.Option(help="Folder to write the data set to.")],
    leads: Annotated[int, typer.Option(help="Leads in the history.")] = 20_000,
    reps: Annotated[int, typer.Option(help="Seats on the floor.")] = 40,
    seed: Annotated[int, typer.Option(help="The same seed gives the same floor.")] = 7,
    days: Annotated[int, typer.Option(help="Length of the history.")] = 540,
    truth: Annotated[bool, typer.Option("--truth", help="Also write what no CRM knows.")] = False,
    as_json: Json = False,
) -> None:
    """Write a simulated sales floor with known truth.

    Example: leadmatch simulate --out floor --leads 20000 --reps 40 --truth
    """
    from pipelines.simulate import simulate_to

    made = simulate_to(out, leads=leads, reps=reps, seed=seed, days=days, truth=truth, step=on_terminal())
    say(made, as_json=as_json, lines=telling.simulated)


@app.command("import")
@command
def import_(
    files: Annotated[list[Path], typer.Argument(help="The CRM's export: CSV, CSV.GZ or Parquet.")],
    mapping: Annotated[str, typer.Option(help="A ready mapping's name, or a YAML file like dataset.yaml.")],
    out: Annotated[Path, typer.Option(help="Folder to write the data set to.")],
    as_json: Json = False,
) -> None:
    """Turn a CRM's export into a data set; refused rows go to rejects.csv.

    Example: leadmatch import Leads.csv Users.csv --mapping salesforce --out crm
    """
    from pipelines.ingest import ingest

    say(ingest(files, mapping, out, step=on_terminal()).as_dict(), as_json=as_json, lines=telling.imported)


@app.command()
@command
def check(data: DataFolder, seed: Seed = 0, as_json: Json = False) -> None:
    """Judge a data set: quality, leakage, overlap, and whether there is anything to match.

    Example: leadmatch check --data crm
    """
    from pipelines.check import check as job

    say(job(data, seed=seed, step=on_terminal()), as_json=as_json, lines=telling.checked)


@app.command()
@command
def train(
    data: DataFolder,
    ledger: Annotated[bool, typer.Option("--ledger", help="Add what the ledger has seen.")] = False,
    trials: Annotated[int, typer.Option(min=0, help="Parameter sets to try for the trees.")] = 0,
    promote: Annotated[Promote, typer.Option(help="auto: champion if it earns it; never: challenger.")] = Promote.auto,
    seed: Seed = 0,
    cluster: OnCluster = None,
    as_json: Json = False,
) -> None:
    """Train, judge and register a model; exit status 1 if it did not earn its promotion.

    Example: leadmatch train --data crm
    """
    from pipelines.train import train as job

    with _fitting(cluster):
        made = job(
            data, settings=settings(), seed=seed, trials=trials, ledger=ledger, promote=promote is Promote.auto,
            step=on_terminal(),
        )  # fmt: skip
    say(made, as_json=as_json, lines=telling.trained)
    if promote is Promote.auto and not made["promoted"]:
        raise RefusedError("The model was not promoted: " + " ".join(made["grounds"]))


@app.command()
@command
def evaluate(
    data: Annotated[Path | None, typer.Option("--data", help="Folder of a data set, or one flat file.")] = None,
    policy: Annotated[Path | None, typer.Option(help="A rule book to try on the ledger's decisions instead.")] = None,
    policies: Annotated[
        str | None, typer.Option(help="Names with commas between, or always:REP; all that make sense if not given.")
    ] = None,
    as_of: Annotated[str | None, typer.Option(help="What was known by then teaches; later rows are judged.")] = None,
    since: Annotated[str | None, typer.Option(help="With --policy: decisions from this moment on.")] = None,
    unit: Annotated[str, typer.Option(help="conversions, or revenue where won rows have a value.")] = "conversions",
    seed: Seed = 0,
    cluster: OnCluster = None,
    as_json: Json = False,
) -> None:
    """Estimate what each policy would have been worth, with intervals, or say why that cannot be told.

    Example: leadmatch evaluate --data crm --policies model,rotation,performance,always:R-007

    With --policy FILE: what a changed rule book would have done with the decisions in the ledger.

    Example: leadmatch evaluate --policy policy.yaml
    """
    if (data is None) == (policy is None):
        raise InputError("Give --data DIR to judge policies on a data set, or --policy FILE to try one on the ledger.")
    if policy is not None:
        from pipelines.replay import try_policy

        with opened.ledger() as book:
            found = try_policy(
                book, policy, settings=settings(), at=datetime.now(UTC), since=_moment(since, "--since"),
                step=on_terminal(),
            )  # fmt: skip
        say(found, as_json=as_json, lines=telling_evaluate.replayed)
        return
    from pipelines.evaluate import evaluate as job

    assert data is not None
    names = [name.strip() for name in policies.split(",") if name.strip()] if policies else None
    with _fitting(cluster):
        made = job(data, names, as_of=_moment(as_of, "--as-of"), unit=unit, seed=seed, step=on_terminal())
    say(made, as_json=as_json, lines=telling_evaluate.evaluated)


@app.command()
@command
def plan(
    leads_per_month: Annotated[float, typer.Option(help="Leads that take part in the trial.")],
    rate: Annotated[float, typer.Option(help="Conversions per lead today: .12 or 12 mean 12 %.")],
    lift: Annotated[float, typer.Option(help="Points that the trial should find: 2 means from 12 % to 14 %.")],
    as_json: Json = False,
) -> None:
    """Say how long a randomised trial must run, at which share of held-out leads.

    Example: leadmatch plan --leads-per-month 1000 --rate 0.12 --lift 2
    """
    from pipelines.plan import plan_trial

    made = plan_trial(leads_per_month=leads_per_month, rate=rate, lift_points=lift)
    say(made, as_json=as_json, lines=telling_evaluate.planned)


@app.command()
@command
def match(
    data: DataFolder,
    leads: Annotated[Path, typer.Option(help="File of leads, with the columns of the data set's leads.")],
    out: Annotated[Path, typer.Option(help="File to write: .csv, .csv.gz or .parquet.")],
    capacity: Annotated[Capacity, typer.Option(help="Keep the reps' limits, or not.")] = Capacity.reps,
    explore: Annotated[Switch, typer.Option(help="Leave a little to chance, so that it can be judged later.")] = (
        Switch.off
    ),
    cluster: OnCluster = None,
    as_json: Json = False,
) -> None:
    """Match many leads to reps, jointly, with the champion.

    Example: leadmatch match --data crm --leads new.csv --out matched.csv
    """
    from pipelines.match import match as job

    made = job(
        data, leads, out, settings=settings(), at=datetime.now(UTC), capacity=capacity is Capacity.reps,
        explore=explore is Switch.on, step=on_terminal(), workers=_pool(cluster),
    )  # fmt: skip
    say(made, as_json=as_json, lines=telling.matched)


@app.command()
@command
def export(
    out: Annotated[Path, typer.Option(help="Folder to write the data set to.")],
    since: Annotated[str | None, typer.Option(help="Decisions from this moment on (ISO, with offset).")] = None,
    as_json: Json = False,
) -> None:
    """Write the ledger as a data set.

    Example: leadmatch export --out seen --since 2026-01-01T00:00:00+00:00
    """
    from pipelines.from_ledger import export as job

    with ledger() as book:
        say(job(book, out, since=_moment(since, "--since")), as_json=as_json, lines=telling.exported)


@app.command()
@command
def serve(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65_535, help="Port to listen on.")] = 3000,
    workers: Annotated[int, typer.Option(help="Worker processes.")] = 1,
    as_json: Json = False,
) -> None:
    """Serve decisions over HTTP until stopped.

    Example: leadmatch serve --port 3000 --workers 2
    """
    from pipelines.serve import Running
    from pipelines.serve import serve as job

    def ready(running: Running) -> None:
        told = {"url": running.url, "workers": workers, "ready": True, "process_id": running.process.pid}
        say(told, as_json=as_json, lines=telling.serving)

    raise typer.Exit(job(host=host, port=port, workers=workers, ready=ready))


@app.command()
@command
def bench(
    quick: Annotated[bool, typer.Option("--quick", help="Few rounds and no MLflow server.")] = False,
    as_json: Json = False,
) -> None:
    """Measure how fast it is, as ratios within one run; exit status 1 if one fell under half of the recorded one.

    Example: leadmatch bench --quick
    """
    from pipelines.bench.job import bench as job
    from pipelines.bench.telling import told

    made = job(quick=quick, step=on_terminal())
    say(made, as_json=as_json, lines=told)
    if quick and made["fallen"]:
        raise RefusedError(f"{len(made['fallen'])} ratio(s) fell under half of what was recorded.")


@app.command()
@command
def demo(port: Annotated[int, typer.Option(min=1, max=65_535, help="Port of the service.")] = 3000) -> None:
    """Simulate, train, serve, decide: the whole story in a few minutes. DEMO_EXIT=1 ends it after the printing.

    Example: leadmatch demo
    """
    from pipelines.demo import demo as job

    job(port=port)


@app.command()
@command
def monitor(as_json: Json = False) -> None:
    """Ask whether the model in force is still right: drift, level, holdout, age; exit status 1 on an alarm.

    Example, for a scheduler, once a day: leadmatch monitor --json
    """
    from pipelines.monitor import monitor as job

    made = job(settings(), clock=lambda: datetime.now(UTC), step=on_terminal())
    say(made, as_json=as_json, lines=telling.monitored)
    if made["alarms"]:
        raise RefusedError(f"{len(made['alarms'])} alarm(s): {', '.join(made['alarms'])}.")


@app.command()
@command
def retrain(
    data: Annotated[Path | None, typer.Option("--data", help="A history to put before the ledger's leads.")] = None,
    seed: Seed = 0,
    cluster: OnCluster = None,
    as_json: Json = False,
) -> None:
    """Train on what the ledger has seen, compare, and promote or say why not; never two at once.

    Example, for a scheduler, once a week: leadmatch retrain --data crm --json
    """
    from pipelines.retrain import retrain as job

    with _fitting(cluster):
        made = job(settings(), data=data, seed=seed, step=on_terminal())
    say(made, as_json=as_json, lines=telling.trained)
    if not made["promoted"]:
        raise RefusedError("The model was not promoted: " + " ".join(made["grounds"]))


def _fitting(cluster: str | None) -> AbstractContextManager[None]:
    """Fits within the block are done on the cluster, if there is one."""
    address = cluster or settings().dask
    if address is None:
        return nullcontext()
    from pipelines.distributed import fitting_on

    return fitting_on(address)


def _pool(cluster: str | None) -> Any:
    address = cluster or settings().dask
    if address is None:
        return None
    from pipelines.distributed import connected

    return connected(address)


def _moment(text: str | None, option: str) -> datetime | None:
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        example = "2026-01-01T00:00:00+00:00"
        raise InputError(f"{option}: {text!r} is not an ISO date and time; for example {example}.") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def main(arguments: list[str] | None = None) -> Any:
    """Entry point of the command `leadmatch`."""
    return app(arguments)
