"""How long a batch of many leads takes, in how much memory, and what it earns against the joint optimum.

`python -m tests.bench.matching_at_scale --leads 1000000 --reps 1000` prints time, peak memory and rows a second of
matching a Parquet file under capacity (slots 90 % full), scored, priced, explained and written; then, on a batch small
enough to solve jointly, the share of the joint optimum's gain over rotation that the stream keeps.
"""

import argparse
import resource
import tempfile
import time
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from data.description import Description
from data.intake.lead_blocks import LeadFile
from data.roster import Rep
from data.simulator import World
from pipelines import match, match_block
from pipelines.match_block import Matching
from pipelines.match_parts import Parts
from serving.deciding.block_scores import BlockScorer
from serving.deciding.scorer import Scorer
from serving.policy.prices import assign_jointly
from serving.policy.rulebook import default_rule_book
from tests.bench.worlds import floor, learn
from training.conversion import ConversionModel

WRITTEN_AT_ONCE = 20_000
FULL = 0.9  # of the slots are needed
SEATS = 40
JOINT_LEADS, JOINT_REPS = 1_500, 40


def trained(reps: int, *, anywhere: bool) -> tuple[World, ConversionModel, list[Rep]]:
    """A floor, the model of its history, and its present reps; `anywhere`: every rep takes every region.

    The model is that of a floor of 40 seats; on a larger floor each rep stands for several who differ a little.
    """
    made = floor(6_000, SEATS, seed=7)
    _, model = learn(made)
    known = {rep.rep_id: place for place, rep in enumerate(model.reps)}
    here = [known[rep_id] for rep_id in made.world.rep_ids]
    rng = np.random.default_rng(5)
    places = np.resize(here, reps)
    people = [replace(model.reps[place], rep_id=f"B-{number}") for number, place in enumerate(places)]
    if anywhere:
        people = [replace(rep, region=None, regions=()) for rep in people]
    effects = model.effects
    spread = rng.normal(0, np.sqrt(effects.shrinkage_variance), (reps, model.lead_design.width))
    wider = replace(
        effects,
        effects=0.7 * effects.effects[places] + 0.7 * spread,
        covariance=effects.covariance[places],
        hand_effects=effects.hand_effects[places],
        hand_sd=effects.hand_sd[places],
    )
    return made.world, replace(model, reps=tuple(people), effects=wider), people


def write_leads(world: World, leads: int, file: Path) -> None:
    """A Parquet file of leads after the history's end."""
    writer = None
    for batch, start in enumerate(range(0, leads, WRITTEN_AT_ONCE)):
        frame = world.fresh_leads(min(WRITTEN_AT_ONCE, leads - start), 100 + batch)
        frame["lead_id"] = [f"B-{start + row}" for row in range(len(frame))]
        table = pa.Table.from_pandas(frame, preserve_index=False)
        writer = writer or pq.ParquetWriter(file, table.schema)
        writer.write_table(table)
    if writer:
        writer.close()


def slots(matching: Matching, sample: pd.DataFrame, leads: int) -> np.ndarray:
    """Slots of each rep, unequal, that the leads fill to 90 %."""
    eligible = match_block.lay_out(matching, sample).screened.eligible()
    rotation = (eligible / np.maximum(eligible.sum(axis=1, keepdims=True), 1)).sum(axis=0) * leads / len(sample)
    return np.ceil(rotation / FULL * np.random.default_rng(3).uniform(0.6, 1.4, len(rotation)))


def stream(matching: Matching, file: Path, out: Path, free: np.ndarray, workers: int, at: datetime) -> dict[str, int]:
    """The whole way from file to file, as `leadmatch match` goes it."""
    parts = Parts(out, str(time.monotonic_ns()), at)
    source = LeadFile(file, Description(), parts.folder, matching.asked)
    with match.threads(workers) as pool:
        counts = match.run(matching, source, free, parts, pool=pool, step=lambda _: None)
    parts.assemble(match_block.schema(matching))
    return counts


def at_scale(leads: int, reps: int, workers: int, *, anywhere: bool, folder: Path) -> str:
    """A row of the table."""
    world, model, here = trained(reps, anywhere=anywhere)
    write_leads(world, leads, folder / "leads.parquet")
    at = world.exported_at
    matching = Matching(BlockScorer(Scorer(model, here)), default_rule_book(), at, explore=False)
    sample = world.fresh_leads(2_000, 1)
    eligible = match_block.lay_out(matching, sample).screened.eligible()
    free = slots(matching, sample, leads)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    wall, cpu = time.perf_counter(), time.process_time()
    counts = stream(matching, folder / "leads.parquet", folder / "out.parquet", free, workers, at)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    rep = pq.read_table(folder / "out.parquet", columns=["rep_id"])["rep_id"].to_pandas().value_counts()
    over = (rep.reindex([one.rep_id for one in here], fill_value=0).to_numpy() > free).sum()
    return (
        f"| {leads:,} x {len(here):,} | {eligible.sum(axis=1).mean():.0f} | {wall:.0f} s | {cpu:.0f} s "
        f"| {peak:,.0f} MB ({before:,.0f} before) | {counts['assigned']:,} | {over} |"
    )


def against_the_optimum(rows: int = 75) -> tuple[float, float]:
    """The stream's share of the joint optimum's gain over rotation, and that of prices that are never corrected."""
    world, model, here = trained(JOINT_REPS, anywhere=False)
    matching = Matching(BlockScorer(Scorer(model, here)), default_rule_book(), world.exported_at, explore=False)
    leads = world.fresh_leads(JOINT_LEADS, 5)
    laid = match_block.lay_out(matching, leads)
    eligible, p = laid.screened.eligible(), laid.scores.probability
    free = slots(matching, leads, len(leads))
    rotation = float((np.where(eligible, p, 0.0).sum(axis=1) / np.maximum(eligible.sum(axis=1), 1)).sum())
    best = _value(p, assign_jointly(p, eligible, free))
    found = []
    for corrected in (True, False):
        priced = leads.iloc[np.linspace(0, len(leads) - 1, 300).astype(int)]
        standing = match_block.opening(matching, match_block.lay_out(matching, priced), free, len(leads))
        standing = standing if corrected else replace(standing, step=0.0)
        value = 0.0
        for start in range(0, len(leads), rows):
            block = match_block.lay_out(matching, leads.iloc[start : start + rows])
            given = match_block.give(matching, block, standing)
            value, standing = value + _value(block.scores.probability, given.rep), given.standing
        found.append((value - rotation) / (best - rotation))
    return found[0], found[1]


def _value(probability: np.ndarray, rep: np.ndarray) -> float:
    served = rep >= 0
    return float(probability[np.flatnonzero(served), rep[served]].sum())


def main(arguments: list[str] | None = None) -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--leads", type=int, default=100_000)
    parser.add_argument("--reps", type=int, default=1_000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--everybody", action="store_true", help="Every rep takes every region: all pairs eligible.")
    asked = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as place:
        print(f"\n## A file of {asked.leads:,} leads, {asked.workers} threads, slots 90 % full\n")
        print("| leads x reps | eligible a lead | wall | CPU | peak memory | assigned | reps over their slots |")
        print("| --- " * 7 + "|")
        folder = Path(place)
        print(at_scale(asked.leads, asked.reps, asked.workers, anywhere=asked.everybody, folder=folder), flush=True)
        kept, fixed = against_the_optimum()
    print(f"\n{JOINT_LEADS:,} leads x {JOINT_REPS} seats in blocks of 75: {kept:.3f} of the joint optimum's gain over "
          f"rotation; with prices that stay as the sample set them {fixed:.3f}.")  # fmt: skip


if __name__ == "__main__":
    main()
