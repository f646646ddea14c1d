"""What policies would have been worth on the newest rows of a training run, for the run's page.

Quicker than `leadmatch evaluate`: the rehearsal's fit, which has not seen these rows, is the outcome model as well.
"""

from dataclasses import replace
from typing import Any

import numpy as np

from pipelines.candidates import AS_IT_RAN, Candidates, policies_for
from pipelines.evaluate import LEAST_LOGGED, LEAST_ROWS, blocks, estimate_log
from pipelines.evaluate_report import report
from pipelines.floor import lay_out
from pipelines.prepare import Prepared
from serving.policy.rulebook import default_rule_book
from training.assess import Rehearsal
from training.conversion import RosterModel
from training.judging import Log, judge, judge_as_it_ran

MOST_JUDGED = 2_000  # the newest; `leadmatch evaluate` judges more, and with more care


def judge_policies(prepared: Prepared, rehearsal: Rehearsal, *, verdict: str, seed: int) -> dict[str, Any] | None:
    """Values, differences and overlap as in `evaluate --json`; None without two reps or with fewer than 500 rows.

    verdict : of all rows; where it lets no rep be preferred, the model's policy is rotation.
    """
    logged = ~np.isnan(prepared.spells.propensity[rehearsal.rows])
    verified = int(logged.sum()) >= LEAST_LOGGED
    rows = (rehearsal.rows[logged] if verified else rehearsal.rows)[-MOST_JUDGED:]
    if len(prepared.spells.reps) < 2 or len(rehearsal.rows) < LEAST_ROWS:
        return None
    floor, rng = lay_out(prepared, rows), np.random.default_rng(seed)
    chosen_could = floor.available[np.arange(len(floor)), floor.spells.rep]
    if not verified:
        floor = floor.take(np.flatnonzero(chosen_could))
    place = np.arange(len(floor)), floor.spells.rep
    model = replace(rehearsal.model, verdict=verdict)
    log = Log(
        converted=floor.spells.converted.astype(float),
        chosen=floor.spells.rep,
        logged=floor.spells.propensity if verified else estimate_log(prepared, floor, rng)[place],
        predicted=RosterModel(model, floor.reps).probability(floor.spells.leads, floor.spells.at_days),
        block=blocks(floor.spells.at_days, dated=prepared.dataset.dated),
        verified=verified,
    )
    candidates = Candidates(floor, default_rule_book(), model)
    judged = [
        judge_as_it_ran(name, log, rng) if name == AS_IT_RAN else judge(name, log, candidates.target(name), rng)
        for name in policies_for(floor)
    ]
    return report(judged, (), log, floor, rng, revenue=False, currency=None)
