"""Simulated floors as training sees them, and what a model earns on leads that come after."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from data.dataset import dataset_from_tables
from data.description import Description
from data.simulator import World, simulate, unconstrained_gain
from data.simulator.gain import assign_jointly, equal_slots, rotation_value
from features.columns import instants
from features.spells import lead_matrix
from pipelines.prepare import Prepared, prepare
from training.conversion import ConversionModel, RosterModel
from training.fit import Parts, assemble, fit_parts
from training.lead_model import Recipe
from training.uplift import intervals, uplift_errors

FRESH = 1_200  # leads of one batch, as in the study that the figures come from
BATCHES = 3
UTILISATION = 0.9


@dataclass(frozen=True)
class Floor:
    """A world and what training makes of its history."""

    world: World
    prepared: Prepared

    @cached_property
    def batches(self) -> list["Fresh"]:
        """What every model is judged on: batches of leads after the history's end, drawn once."""
        return [fresh(self, number) for number in range(1, BATCHES + 1)]


@dataclass(frozen=True)
class Earned:
    """What predictions are worth on fresh leads, means over the batches."""

    share_capacity: float  # of the possible gain, reps' slots 90 % full
    share_free: float  # the same without capacity
    slope: float  # of true on predicted differences between reps, log-odds
    error: float  # root mean square error of these differences


def floor(leads: int, reps: int, seed: int, **how: float) -> Floor:
    """A simulated floor with its history prepared."""
    world = simulate(leads=leads, reps=reps, seed=seed, **how)
    description = Description.model_validate(world.description())
    dataset = dataset_from_tables(world.leads, world.reps, world.assignments, description)
    return Floor(world, prepare(dataset))


def learn(made: Floor, *, seed: int = 0, recipe: Recipe | None = None) -> tuple[Parts, ConversionModel]:
    """The model of a floor's history, its verdict aside; the lead part's recipe is searched where it is not given."""
    spells, contract = made.prepared.spells, made.prepared.contract
    parts = fit_parts(spells, contract, seed=seed, recipe=recipe)
    return parts, assemble(parts, spells, contract, verdict="rep_matters", facts={})


@dataclass(frozen=True)
class Fresh:
    """A batch of leads after the history's end, with the truth."""

    leads: pd.DataFrame
    matrix: np.ndarray
    at_days: np.ndarray
    truth: np.ndarray  # (n, n_reps) over the reps who are still here
    eligible: np.ndarray

    @cached_property
    def rotation(self) -> float:
        """Conversions per lead under rotation."""
        return rotation_value(self.truth, self.eligible)

    @cached_property
    def oracle(self) -> float:
        """Conversions per lead of the best joint assignment, reps' slots 90 % full."""
        return self.value_of(self.truth)

    def value_of(self, scores: np.ndarray) -> float:
        """Conversions per lead when scores decide the joint assignment, reps' slots 90 % full."""
        slots = equal_slots(len(self.truth), self.truth.shape[1], UTILISATION)
        return float(self.truth[assign_jointly(scores, self.eligible, slots)].sum() / len(self.truth))

    def share(self, scores: np.ndarray) -> float:
        """Share of the oracle's gain over rotation that scores earn."""
        return (self.value_of(scores) - self.rotation) / (self.oracle - self.rotation)


def fresh(made: Floor, batch: int) -> Fresh:
    """One batch of `FRESH` leads."""
    leads = made.world.fresh_leads(FRESH, batch)
    return Fresh(
        leads,
        lead_matrix(leads, made.prepared.contract),
        instants(leads["created_at"].dt.tz_localize(None)),
        made.world.probability(leads),
        made.world.eligible(leads),
    )


def current_places(made: Floor) -> list[int]:
    """Where the reps who are still here stand in the training roster."""
    place = {rep.rep_id: i for i, rep in enumerate(made.prepared.spells.reps)}
    return [place[rep_id] for rep_id in made.world.rep_ids]


def roster_of(made: Floor, model: ConversionModel) -> RosterModel:
    """The model laid out for the reps who are still here."""
    return RosterModel(model, [made.prepared.spells.reps[i] for i in current_places(made)])


def worth(made: Floor, predict: Callable[[Fresh], np.ndarray]) -> Earned:
    """What predictions earn; `predict(fresh) -> (n, n_reps)` probabilities over the reps who are still here."""
    rows = []
    for leads in made.batches:
        p = predict(leads)
        seen, true = centred(p, leads.eligible), centred(leads.truth, leads.eligible)
        rows.append(
            (
                leads.share(p),
                unconstrained_gain(leads.truth, p, leads.eligible).share,
                float(seen @ true / max(seen @ seen, 1e-12)),
                float(np.sqrt(np.mean((seen - true) ** 2))),
            )
        )
    return Earned(*np.mean(rows, axis=0))


def centred(probability: np.ndarray, eligible: np.ndarray) -> np.ndarray:
    """Log-odds less their mean over the eligible, of the eligible pairs, flat."""
    p = np.clip(probability, 1e-6, 1 - 1e-6)
    log_odds = np.log(p / (1 - p))
    mean = np.where(eligible, log_odds, 0.0).sum(axis=1, keepdims=True) / eligible.sum(axis=1, keepdims=True)
    return (log_odds - mean)[eligible]


def coverage(made: Floor, model: ConversionModel, *, pairs: int = 800) -> float:
    """Share of random eligible pairs whose true uplift lies in its 90 % interval."""
    roster, leads, rng = roster_of(made, model), made.batches[0], np.random.default_rng(0)
    p, f = roster.probability(leads.matrix, leads.at_days), roster.pairs(leads.matrix, leads.at_days)
    z = model.lead_design.matrix(leads.matrix)
    hits = []
    for lead in rng.integers(0, len(p), pairs):
        eligible = leads.eligible[lead]
        rep = int(rng.choice(np.flatnonzero(eligible)))
        interval = intervals(*uplift_errors(
            np.array([rep]), probability=p[lead], rotation=eligible / eligible.sum(),
            variance=(roster.covariance @ z[lead]) @ z[lead], pairs=f[lead].T,
            beta_covariance=model.effects.beta_covariance, slope=model.calibration.slope,
        )).one(0)  # fmt: skip
        truth = leads.truth[lead]
        hits.append(interval.low <= truth[rep] - truth[eligible].mean() <= interval.high)
    return float(np.mean(hits))
