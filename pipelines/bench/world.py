"""What is measured: a model fitted to a simulated floor, rosters of any size, leads as a CRM sends them."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pandas as pd

from data.dataset import dataset_from_tables
from data.description import Description
from data.roster import Rep
from data.simulator import simulate
from pipelines.prepare import prepare
from training.conversion import ConversionModel
from training.fit import assemble, fit_parts
from training.lead_model import TREES, Recipe

TREES_GROWN = 120  # of 15 leaves: about what the rehearsal chooses on such floors
LEADS, SEATS = 12_000, 300
WIDENED = 0.05  # log-odds by which a copied rep's effects differ from the original's
HIRED = datetime(2024, 1, 1, tzinfo=UTC)


def fitted_floor(leads: int = LEADS, seats: int = SEATS) -> tuple[ConversionModel, list[dict[str, Any]]]:
    """A model fitted to a simulated floor, and the floor's leads as requests hold them."""
    world = simulate(leads=leads, reps=seats, seed=7)
    dataset = dataset_from_tables(world.leads, world.reps, world.assignments, Description(**world.description()))
    prepared = prepare(dataset)
    recipe = Recipe("trees", TREES_GROWN, dict(TREES))
    parts = fit_parts(prepared.spells, prepared.contract, seed=1, recipe=recipe)
    facts: dict[str, object] = {"rows": len(prepared.spells)}
    model = assemble(parts, prepared.spells, prepared.contract, verdict="rep_matters", facts=facts)
    return model, requests(world.leads)


def requests(leads: pd.DataFrame) -> list[dict[str, Any]]:
    """Each lead as a CRM sends it: nothing for what is missing, moments as text."""
    return [
        {
            name: value.isoformat() if isinstance(value, datetime) else value
            for name, value in lead.items()
            if value is not None and value == value
        }
        for lead in leads.to_dict("records")
    ]


def roster_of(model: ConversionModel, size: int) -> tuple[ConversionModel, tuple[Rep, ...]]:
    """The model for a floor of `size` reps, all of them here and none limited, and that floor.

    A floor larger than the one of the fit has copies of its reps, each with effects of her own.
    """
    rng, known = np.random.default_rng(size), len(model.reps)
    origin = np.arange(size) % known
    reps = tuple(
        replace(
            model.reps[place], rep_id=f"R-{number:05d}", name=f"Rep {number}", active=True, hired_at=HIRED,
            left_at=None, absent_from=None, absent_until=None, hours=None, capacity=1_000_000, daily_limit=None,
            region=None, regions=(),
        )
        for number, place in enumerate(origin)
    )  # fmt: skip
    effects = model.effects.effects[origin]
    own = replace(
        model.effects,
        effects=effects + rng.normal(0, WIDENED, effects.shape),
        covariance=model.effects.covariance[origin],
        hand_effects=np.zeros(size),  # of no meaning at prediction
        hand_sd=np.zeros(size),
    )
    return replace(model, reps=reps, effects=own), reps


def pair_frame(leads: Sequence[dict[str, Any]], reps: Sequence[Rep]) -> pd.DataFrame:
    """Pairs of leads and reps as a user would lay them out: a row a pair, texts as categories."""
    of_lead = pd.DataFrame(leads).drop(columns=["lead_id", "created_at", "name", "email", "phone", "company"])
    of_rep = pd.DataFrame([{"rep_id": rep.rep_id, "team": rep.team, "skills": ";".join(rep.skills)} for rep in reps])
    return of_lead.merge(of_rep, how="cross")
