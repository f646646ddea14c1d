"""`leadmatch train`: a history -> a judged, registered model, and the champion if it earns it."""

import hashlib
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import expit

from data.dataset import Dataset, load_dataset, set_aside
from data.settings import Settings
from data.store import promotions
from data.store.ledger import Ledger
from features.spells import Spells, build_spells
from pipelines.from_ledger import with_ledger
from pipelines.policies_of_run import judge_policies
from pipelines.prepare import Prepared, prepare
from pipelines.progress import Step, silent
from pipelines.worth import worth_of_change
from serving.models.bundle import Manifest, seal
from serving.models.bundle_store import BundleStore
from serving.models.fetch import fetcher
from serving.models.signing import signing_key
from training import promotion, report, report_page
from training.assess import LATER_SHARE, Rehearsal, look_for_potential, rehearse
from training.conversion import ConversionModel
from training.drift import profile
from training.fit import assemble, fit_parts, served_log_odds
from training.hidden_picking import HiddenPicking, look_for_hidden_picking
from training.metrics import Estimate
from training.model_files import save
from training.potential import Potential
from training.registry import Registry, RunInfo
from training.splits import newest
from training.tuning import tune

KEPT = promotion.Decision(False, ("Promotion was not asked for (--promote never).",))
REPORT_ROWS = 2_000  # of the newest rows that the summary of contributions is drawn from


@dataclass(frozen=True)
class Trained:
    """Everything a training run found out."""

    prepared: Prepared
    rehearsal: Rehearsal
    potential: Potential
    model: ConversionModel
    hidden: HiddenPicking | None  # None where there are no reps
    policies: dict[str, Any] | None  # what each would have been worth on the newest rows; None where that says nothing


def train(
    data: Path,
    *,
    settings: Settings,
    seed: int = 0,
    trials: int = 0,
    ledger: bool = False,
    promote: bool = True,
    step: Step = silent,
) -> dict[str, Any]:
    """Train on the data set in `data`, log and register the model, and promote it if it earns it.

    trials : how many parameter sets to try for the trees; ledger : add what the ledger has seen since;
    promote : let the verdict decide, else keep the champion.
    Returns the object of `train --json`. Raises InputError where the data cannot be learned from.
    """
    step(f"reading {data}")
    dataset = load_dataset(data)
    set_aside(dataset, data)
    if ledger:
        dataset = with_ledger(dataset, Ledger.open(settings.ledger_url))
    trained = learn(dataset, seed=seed, trials=trials, step=step)
    registry = Registry(settings.home, timeout_s=settings.registry_timeout_seconds)
    book = Ledger.open(settings.ledger_url)
    try:
        step("comparing it with the champion")
        decision = decide_promotion(trained, book, settings) if promote else KEPT
        step("registering the model")
        run, manifest = register(trained, registry, decision, settings=settings, seed=seed)
        put_in_place(decision, run, manifest, book, registry)
    finally:
        book.close()
    return summary(trained, run, decision)


def learn(dataset: Dataset, *, seed: int, trials: int = 0, step: Step = silent) -> Trained:
    """The model of a data set, with the verdict and the figures of a rehearsal on its newest rows."""
    step("typing the columns, looking for leaks, labelling")
    prepared = prepare(dataset)
    spells, contract = prepared.spells, prepared.contract
    recipe = None
    if trials:
        step(f"searching the trees' parameters in {trials} trials")
        older = spells.take(~newest(spells.at_days, LATER_SHARE))  # the rehearsal judges the search as well
        recipe = tune(contract, older.leads, older.converted, older.at_days, trials=trials, seed=seed, say=step)
    step(f"rehearsing on the newest fifth of {len(spells):,} mature rows")
    rehearsal = rehearse(spells, contract, seed=seed, recipe=recipe)
    step("fitting lead and rep parts on all of them")
    parts = fit_parts(spells, contract, seed=seed, recipe=rehearsal.recipe)
    step("asking whether it matters who gets a lead")
    potential = look_for_potential(parts, spells, contract, seed=seed)
    facts = model_facts(prepared, rehearsal, potential, seed=seed)
    model = assemble(parts, spells, contract, verdict=potential.verdict, facts=facts)
    step("asking whether hidden hand-picking could explain it")
    hidden = look_for_hidden_picking(model, parts.log_odds, spells, seed=seed)
    step("judging policies on the newest rows")
    policies = judge_policies(prepared, rehearsal, verdict=potential.verdict, seed=seed)
    return Trained(prepared, rehearsal, potential, model, hidden, policies)


def model_facts(prepared: Prepared, rehearsal: Rehearsal, potential: Potential, *, seed: int) -> dict[str, Any]:
    """What anybody may want to know of the model later; saved with it, so nothing here is taken from a clock."""
    spells = prepared.spells
    return {
        "leadmatch": version("leadmatch"),
        "seed": seed,
        "rows": rows_of(prepared),
        "conversion_rate": float(spells.converted.mean()),
        "labels": prepared.dataset.description.labels,
        "trained_until_days": float(spells.with_young().at_days.max()),
        "dated": prepared.contract.dated,
        "lead_model": rehearsal.recipe.kind,
        "half_life_days": rehearsal.recipe.half_life_days,
        "columns": columns_of(prepared),
        "metrics": plain_metrics(rehearsal.metrics),
        "lead_alone_metrics": plain_metrics(rehearsal.lead_metrics),
        "value_metrics": plain_metrics(rehearsal.value_metrics),
        "potential": plain_potential(potential, rehearsal),
        "target": prepared.dataset.description.target,
        "profile": profile(prepared.contract, spells.leads),
        "currency": prepared.dataset.description.currency,
    }


def register(
    trained: Trained, registry: Registry, decision: promotion.Decision, *, settings: Settings, seed: int
) -> tuple[RunInfo, Manifest]:
    """Write, seal and keep the bundle, and log the run with its figures."""
    with tempfile.TemporaryDirectory(prefix="leadmatch-") as scratch:
        folder = Path(scratch) / "bundle"
        save(trained.model, folder)
        about = {"trained_at": datetime.now(UTC).isoformat(timespec="seconds")}
        manifest = seal(folder, signing_key(settings.home), about=about)
        BundleStore(settings.home).install(folder)
        run = registry.log_run(
            parameters={"seed": seed, "lead_model": trained.rehearsal.recipe.kind, **rows_of(trained.prepared)},
            metrics={
                **trained.rehearsal.metrics,
                **_prefixed("lead_alone_", trained.rehearsal.lead_metrics),
                **_prefixed("value_", trained.rehearsal.value_metrics),
            },
            data_hash=data_hash(trained.prepared.dataset),
            digest=manifest.digest,
            figures=figures_of(trained, decision),
            bundle=folder,
            lead_columns=[column.name for column in trained.model.contract.columns],
            tags={"verdict": trained.potential.verdict},
        )
    return run, manifest


def figures_of(trained: Trained, decision: promotion.Decision) -> dict[str, bytes]:
    """The pictures, values and page logged beside the run, from rows that the rehearsal's fit has not seen."""
    later, spells = trained.rehearsal.later, trained.prepared.spells
    rows = np.unique(np.linspace(0, len(later) - 1, min(REPORT_ROWS, len(later))).astype(int))
    sample = later.take(rows)
    measured = report.measure(
        model=trained.model,
        leads=sample.leads,
        converted=sample.converted,
        probability=expit(trained.rehearsal.log_odds[rows]),
        contributions=trained.rehearsal.model.lead_model.contributions(sample.leads)[:, :-1],
        kinds=kinds_of_lead(trained.model, spells),
        rep=spells.rep,
    )
    shown = report_page.page(
        trained.model, measured, grounds=decision.grounds, hidden=trained.hidden, policies=trained.policies
    )
    return report.build(measured) | {"report.html": shown}


def kinds_of_lead(model: ConversionModel, spells: Spells) -> np.ndarray:
    """Which kind of lead each row is, (n,): its levels in the two best supported categories of z(x)."""
    design = model.lead_design
    categories = [p for p, one in zip(design.positions, design.directions, strict=True) if one.level is not None]
    chosen = list(dict.fromkeys(categories))[:2]
    if not chosen:
        return np.zeros(len(spells), dtype=int)
    levels = np.nan_to_num(spells.leads[:, chosen], nan=-1.0)
    return np.unique(levels, axis=0, return_inverse=True)[1]


def decide_promotion(trained: Trained, book: Ledger, settings: Settings) -> promotion.Decision:
    """Whether the new model becomes champion, from rows that neither it nor the champion learned from."""
    later = trained.rehearsal.later
    with book.reading() as conn:
        held = promotions.champion(conn)
    if held is None:
        base = float(np.clip(trained.prepared.spells.converted.mean(), 1e-6, 1 - 1e-6))
        return promotion.first_champion(later.converted, trained.rehearsal.log_odds, base)
    fetch = fetcher(settings.home, timeout_s=settings.registry_timeout_seconds)
    champion = BundleStore(settings.home).refresh(held, fetch)
    if champion is None or champion.digest != held.digest:
        return promotion.Decision(False, ("The champion's bundle cannot be had, so there is nothing to compare with.",))
    newer = later.at_days > float(champion.model.facts["trained_until_days"])
    # The same spells are mature whatever the contract, so one set of positions serves both.
    rows = trained.rehearsal.rows[newer]
    theirs = build_spells(trained.prepared.dataset, champion.model.contract).take(rows)
    mine, challenger = later.take(newer), trained.rehearsal.model
    return promotion.judge(
        mine.converted,
        mine.rep,
        served_log_odds(challenger, mine),
        served_log_odds(champion.model, theirs),
        columns=promotion.Columns.between(_kinds(champion.model), _kinds(trained.model)),
        worth=worth_of_change(
            trained.prepared, rows, challenger, champion.model, theirs.leads, seed=trained.model.facts["seed"]
        ),
    )


def put_in_place(
    decision: promotion.Decision, run: RunInfo, manifest: Manifest, book: Ledger, registry: Registry
) -> None:
    """Write the promotion into the ledger, which decides, and let the registry's aliases follow."""
    if not decision.promoted:
        registry.name_challenger(run.model_version)
        return
    with book.writing() as tx:
        held = promotions.champion(tx)
        promotions.promote(
            tx,
            version=run.model_version,
            digest=manifest.digest,
            expected_previous=held.version if held else None,
            actor="train",
            grounds={"grounds": list(decision.grounds)},
            at=datetime.now(UTC),
        )
    registry.name_champion(run.model_version)


def summary(trained: Trained, run: RunInfo, decision: promotion.Decision) -> dict[str, Any]:
    """The object of `train --json`."""
    return {
        "model_version": run.model_version,
        "run_id": run.run_id,
        "promoted": decision.promoted,
        "grounds": list(decision.grounds),
        "metrics": plain_metrics(trained.rehearsal.metrics),
        "lead_alone_metrics": plain_metrics(trained.rehearsal.lead_metrics),
        "value_metrics": plain_metrics(trained.rehearsal.value_metrics),
        "rows": rows_of(trained.prepared),
        "columns": columns_of(trained.prepared),
        "potential": plain_potential(trained.potential, trained.rehearsal),
    }


def rows_of(prepared: Prepared) -> dict[str, int]:
    """How many rows were used, left out as too young, and refused; and how many young ones count, if any do."""
    young = len(prepared.spells.young) if prepared.spells.young else 0
    return {
        "used": len(prepared.spells) + young,
        "immature": prepared.spells.labels.immature - young,
        "rejected": len(prepared.dataset.rejects),
        **({"young": young} if young else {}),
    }


def columns_of(prepared: Prepared) -> dict[str, Any]:
    """Which columns are features, and why the others are not."""
    return {
        "used": [column.name for column in prepared.contract.columns],
        "excluded": [{"column": one.column, "why": one.why} for one in prepared.excluded],
    }


def plain_metrics(metrics: dict[str, Estimate]) -> dict[str, dict[str, float]]:
    """Metrics as plain values."""
    return {name: {"value": one.value, "standard_error": one.standard_error} for name, one in metrics.items()}


def plain_potential(potential: Potential, rehearsal: Rehearsal) -> dict[str, Any]:
    """The verdict and the possible gain over rotation in conversions per lead, as plain values."""
    gain = rehearsal.gain
    return {
        "verdict": potential.verdict,
        "why": potential.why,
        "p_clean": None if np.isnan(potential.p_clean) else potential.p_clean,
        "p_all": None if np.isnan(potential.p_all) else potential.p_all,
        "gain": {
            "value": gain.value if gain else None,
            "low": gain.low if gain else None,
            "high": gain.high if gain else None,
        },
    }


def data_hash(dataset: Dataset) -> str:
    """SHA-256 over the three tables, so that a run says which data it saw."""
    digest = hashlib.sha256()
    for table in (dataset.leads, dataset.reps, dataset.assignments):
        digest.update(table.to_csv(index=False).encode())
    return digest.hexdigest()


def _prefixed(prefix: str, metrics: dict[str, Estimate]) -> dict[str, Estimate]:
    return {prefix + name: one for name, one in metrics.items()}


def _kinds(model: ConversionModel) -> dict[str, str]:
    return {column.name: column.kind for column in model.contract.columns}
