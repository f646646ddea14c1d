"""The same numbers over a cluster of two processes as on one machine."""

import warnings
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from data.description import Description
from data.errors import InputError
from data.intake.lead_blocks import LeadFile
from pipelines import cli, match, match_block
from pipelines.match_block import Matching
from pipelines.match_parts import Parts
from serving.deciding.block_scores import BlockScorer
from serving.deciding.scorer import Scorer
from serving.policy.rulebook import default_rule_book
from training.fit import gather
from training.lead_model import TREES
from training.machine import Growth, Here, TreeRows, working_on
from training.rep_effects import fit_rep_effects

AT = datetime(2026, 6, 1, 3, tzinfo=UTC)


@pytest.fixture(scope="module")
def cluster():
    """A scheduler and two worker processes on loopback."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what the cluster's own parts say of themselves as they start and stop
        from distributed import LocalCluster

        from pipelines import distributed

        distributed.LEAST_ROWS = 500
        with (
            LocalCluster(
                n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None, host="127.0.0.1"
            ) as local,
            distributed.connected(local.scheduler_address) as made,
        ):
            yield made


def test_effects_are_those_of_one_machine_to_eight_digits_given_f(cluster, small_spells, small_fit):
    spells, contract = small_spells.spells, small_spells.contract
    parts = small_fit[0]
    evidence = gather(spells, contract, parts.lead_design, parts.pair_design)
    how = {"groups": parts.lead_design.groups, "n_reps": len(spells.reps)}
    here = fit_rep_effects(evidence, parts.lead_alone, **how)
    with working_on(cluster):
        there = fit_rep_effects(evidence, parts.lead_alone, **how)
    for name in ("effects", "covariance", "beta", "hand_effects", "shrinkage_variance"):
        np.testing.assert_allclose(getattr(there, name), getattr(here, name), rtol=0, atol=1e-8, err_msg=name)


def test_trees_of_the_cluster_say_what_trees_of_one_machine_say(cluster, rng):
    n = 6_000
    design = np.column_stack([rng.integers(0, 5, n), rng.normal(size=(n, 3)), np.zeros(n)]).astype(np.float32)
    eta = -1 + design[:, 1] + (design[:, 0] == 2)
    converted = (rng.random(n) < 1 / (1 + np.exp(-eta))).astype(float)
    rows = TreeRows(design, converted, np.full(n, -1.0), None)
    growth = Growth({**TREES, "seed": 1}, 12, ("c0", "c1", "c2", "c3", "by_hand"), (0,))
    other_seed = replace(growth, settings={**TREES, "seed": 2})
    grown = Here().grow(rows, growth), cluster.grow(rows, growth), Here().grow(rows, other_seed)
    assert grown[1].num_trees() == grown[0].num_trees()
    here, there, other = (booster.predict(design, raw_score=True) for booster in grown)
    # Bins are found on each worker's rows, so splits differ: about as much as with another seed, and no worse.
    assert 0 < np.std(there - here) < 3 * np.std(other - here)
    losses = [np.mean(np.logaddexp(0, one - 1) - converted * (one - 1)) for one in (here, there)]
    assert losses[1] == pytest.approx(losses[0], rel=0.005)


def test_leads_matched_by_the_cluster_are_matched_the_same(cluster, small_world, small_fit, tmp_path, monkeypatch):
    monkeypatch.setattr(match, "MOST_JOINT", 0)
    monkeypatch.setattr(match, "block_rows", lambda reps: 50)
    small_world[0].fresh_leads(300, 3).to_parquet(tmp_path / "new.parquet")
    reps = [rep for rep in small_world[1].roster() if rep.employed(AT)]
    matching = Matching(BlockScorer(Scorer(small_fit[1], reps)), default_rule_book(), AT, explore=False)
    tables = []
    with match.threads(1) as threads:
        for name, pool in (("here", threads), ("there", cluster)):
            parts = Parts(tmp_path / f"{name}.parquet", "a job", AT)
            file = LeadFile(tmp_path / "new.parquet", Description(), tmp_path, matching.asked)
            match.run(matching, file, np.full(len(reps), 40.0), parts, pool=pool, step=lambda _: None)
            parts.assemble(match_block.schema(matching))
            tables.append(pq.read_table(tmp_path / f"{name}.parquet"))
    assert tables[0].equals(tables[1])


def test_a_cluster_that_is_not_there_is_told_in_one_line(tmp_path, monkeypatch):
    from pipelines import distributed

    monkeypatch.setattr(distributed, "CONNECT_S", "1s")
    monkeypatch.setenv("LEADMATCH_HOME", str(tmp_path))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(InputError, match="no Dask scheduler answers"), distributed.connected("tcp://127.0.0.1:9"):
            pass
        said = CliRunner().invoke(cli.app, ["train", "--data", "nowhere", "--cluster", "tcp://127.0.0.1:9"])
    assert said.exit_code == 2
    assert "no Dask scheduler" in said.stderr
