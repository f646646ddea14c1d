"""`leadmatch match`: a file of leads -> a rep for each, under the reps' capacity.

A file small enough is matched jointly. A longer one goes through a block at a time, in bounded memory: prices from a
sample of it, corrected by what each block asks for, and counters that no rep exceeds. Finished blocks are kept, so a
run that was interrupted goes on where it ended, with the same result.
"""

import hashlib
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pyarrow as pa

from data.dataset import load_dataset
from data.errors import InputError
from data.intake.lead_blocks import Block, LeadFile
from data.intake.reading import SUFFIXES
from data.intake.saving import keep_rejects
from data.settings import Settings
from data.store import policies
from data.store.ledger import Ledger
from data.store.lone import alone
from pipelines import match_block
from pipelines.champion import champion
from pipelines.match_block import PRICED_A_REP, PRICED_LEADS, Given, Laid, Matching, Standing
from pipelines.match_parts import Parts
from pipelines.progress import Step, silent
from serving.deciding.block_scores import BlockScorer
from serving.deciding.scorer import Scorer
from serving.policy.rulebook import default_rule_book, parse_rule_book

MOST_JOINT = 5_000  # leads that are matched jointly; the programme's time grows faster than they do
MOST_JOINT_PAIRS = 500_000  # leads x reps
BLOCK_PAIRS = 4_000_000  # leads x reps in memory at once: 32 MB of probabilities
MOST_BLOCK, LEAST_BLOCK = 10_000, 500  # leads
AHEAD = 2  # blocks beyond the workers that are under way


class Future(Protocol):
    """A piece of work that was handed over."""

    def result(self) -> Any:
        """What came of it, waiting for it if need be."""


class Pool(Protocol):
    """Who does the work: threads of this machine, or a cluster."""

    workers: int

    def share(self, value: Any) -> Any:
        """A value that many pieces of work need, as an argument for `submit`."""

    def submit(self, work: Callable[..., Any], *arguments: Any) -> Future:
        """Hand over a piece of work; arguments that are futures of this pool stand for their results."""


class Threads:
    """Cores of this machine: NumPy and LightGBM let go of Python's lock for most of the work."""

    def __init__(self, workers: int) -> None:
        self.workers = workers
        self._pool = ThreadPoolExecutor(workers)

    def share(self, value: Any) -> Any:
        """The value itself."""
        return value

    def submit(self, work: Callable[..., Any], *arguments: Any) -> Future:
        """Queue the work. What it waits for was queued before it, so the queue never stands still."""

        def run() -> Any:
            return work(*(one.result() if hasattr(one, "result") else one for one in arguments))

        return self._pool.submit(run)

    def close(self) -> None:
        """Drop what has not begun."""
        self._pool.shutdown(cancel_futures=True)


@contextmanager
def threads(workers: int) -> Iterator[Pool]:
    """Threads for as long as the block lasts."""
    pool = Threads(workers)
    try:
        yield pool
    finally:
        pool.close()


def match(
    data: Path,
    leads_file: Path,
    out: Path,
    *,
    settings: Settings,
    at: datetime,
    capacity: bool = True,
    explore: bool = False,
    step: Step = silent,
    workers: AbstractContextManager[Pool] | None = None,
) -> dict[str, Any]:
    """Match the leads of a file to the reps of a data set, write one row a lead, and say how it went.

    Rows that cannot be used go to the rejects.csv beside `out`, with their lines and why.
    at : the moment of the decision; workers : who does the work, two threads if not given. The result is the same
    whoever does it. Raises InputError for files that cannot be used, or without a champion, and RefusedError while
    another run writes to `out`.
    """
    if out.is_dir():
        raise InputError(f"{out}: is a folder; name a file to write.")
    if not out.name.casefold().endswith(SUFFIXES):
        raise InputError(f"--out: {out.name} must end in {', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]}; rename it so.")
    ledger = Ledger.open(settings.ledger_url)
    try:
        loaded = champion(settings, ledger)
        with ledger.reading() as conn:
            active = policies.active(conn)
    finally:
        ledger.close()
    rules = parse_rule_book(active.text) if active else default_rule_book()
    dataset = load_dataset(data)
    if not dataset.has_reps:
        raise InputError(f"{data}: has no reps, so there is nobody to match the leads to.")
    reps = dataset.roster()
    file = leads_file.stat() if leads_file.is_file() else None
    size = (file.st_size, file.st_mtime_ns) if file else ()
    job = _digest(loaded.digest, rules, reps, dataset.description, leads_file.resolve(), size, capacity, explore)
    out.parent.mkdir(parents=True, exist_ok=True)
    with alone(_lock_of(out, settings.home), f"A match into {out}"):
        parts = Parts(out, job, at)
        matching = Matching(BlockScorer(Scorer(loaded.model, reps)), rules, parts.at, explore)
        try:
            leads = LeadFile(leads_file, dataset.description, parts.folder, matching.asked)
        except InputError:
            parts.discard()
            raise
        free = match_block.slots(rules, reps, parts.at) if capacity else np.full(len(reps), np.inf)
        with workers or threads(2) as pool:
            counts = run(matching, leads, free, parts, pool=pool, step=step)
        step(f"writing {out}")
        rejects = keep_rejects(parts.refused(), out.parent)
        parts.assemble(match_block.schema(matching))
    missing = sorted((matching.asked & {*dataset.leads.columns}) - leads.there)
    return {
        "out": str(out), **counts, "rejects": str(rejects) if rejects else None, "missing": missing,
        "model_version": loaded.version, "verdict": loaded.model.verdict,
    }  # fmt: skip


def _lock_of(out: Path, home: Path) -> Path:
    return home / "locks" / f"match-{_digest(out.resolve())[:16]}"


def run(
    matching: Matching, leads: LeadFile, free: np.ndarray, parts: Parts, *, pool: Pool, step: Step
) -> dict[str, int]:
    """Work through the blocks that are not finished yet; leads, assigned, unassigned, rejected."""
    reps = len(free)
    jointly = leads.rows <= MOST_JOINT and leads.rows * reps <= MOST_JOINT_PAIRS
    rows = leads.rows if jointly else block_rows(reps)
    if parts.standing is None:
        step(f"pricing the slots of {reps:,} reps for {leads.rows:,} leads")
        every = np.arange(leads.rows)
        many = min(max(PRICED_LEADS, PRICED_A_REP * reps), leads.rows)
        some = every if jointly else np.linspace(0, leads.rows - 1, many).astype(int)
        parts.begin(match_block.opening(matching, match_block.lay_out(matching, leads.sample(some)), free, leads.rows))
    else:
        step(f"going on after {parts.finished:,} finished blocks, decided as of {parts.at:%Y-%m-%d %H:%M} UTC")
    single = jointly and matching.scorer.scorer.model.speaks and not matching.explore
    shared: Any = pool.share(matching)
    standing: Any = parts.standing
    waiting: deque[tuple[Future, Block]] = deque()
    for number, block in enumerate(leads.blocks(max(rows, 1))):
        if number < parts.finished:
            continue
        laid = pool.submit(match_block.lay_out, shared, block.leads)
        given = pool.submit(_give, shared, laid, standing, single)
        standing = pool.submit(_standing_after, given)
        told = pool.submit(_told, shared, laid, given)
        waiting.append((told, block))
        if len(waiting) > pool.workers + AHEAD:
            _keep(parts, waiting.popleft(), leads.rows, step)
    while waiting:
        _keep(parts, waiting.popleft(), leads.rows, step)
    return {name: parts.counts.get(name, 0) for name in ("leads", "assigned", "unassigned", "rejected")}


def block_rows(reps: int) -> int:
    """Leads of one block."""
    return int(np.clip(BLOCK_PAIRS // max(reps, 1), LEAST_BLOCK, MOST_BLOCK))


def _give(matching: Matching, laid: Laid, standing: Standing, jointly: bool) -> Given:
    return match_block.give_jointly(laid, standing) if jointly else match_block.give(matching, laid, standing)


def _standing_after(given: Given) -> Standing:
    return given.standing


def _told(matching: Matching, laid: Laid, given: Given) -> tuple[pa.Table, Standing]:
    return match_block.described(matching, laid, given), given.standing


def _keep(parts: Parts, finished: tuple[Future, Block], rows: int, step: Step) -> None:
    told, block = finished
    table, standing = told.result()
    unassigned = table["rep_id"].null_count
    counts = {"leads": len(block.leads), "rejected": len(block.refused)}
    counts |= {"assigned": len(table) - unassigned, "unassigned": unassigned}
    parts.add(table, standing, counts, block.refused)
    step(f"{parts.counts['leads']:,} of {rows:,} leads matched")


def _digest(*parts: Any) -> str:
    return hashlib.sha256("\n".join(map(repr, parts)).encode("utf-8")).hexdigest()
