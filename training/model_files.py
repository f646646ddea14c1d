"""A ConversionModel as plain files, and back: LightGBM text or JSON, .npy arrays, JSON. Nothing is unpickled."""

import json
from collections.abc import Mapping
from dataclasses import asdict, fields
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from data.roster import Rep
from features.columns import ColumnContract
from features.leads import LeadDesign
from features.pairs import PairDesign
from training.calibration import Calibration
from training.conversion import ConversionModel, RosterModel
from training.expected_value import ValueModel
from training.lead_model import LeadModel, Logistic, Trees
from training.rep_effects import RepEffects
from training.saved_trees import SavedTrees

FORMAT = 1
EFFECT_FILES = (
    "effects", "covariance", "shrinkage_variance", "prior_variance", "hand_effects", "hand_sd", "beta",
    "beta_covariance",
)  # fmt: skip
FILES = (
    "model.json",
    "reps.json",
    "canary.json",
    "lead_model.txt",
    "lead_model.json",
    "value_model.json",
    *(f"{name}.npy" for name in (*EFFECT_FILES, "score_grid")),
)  # every name a model folder may hold; exactly one of the two lead models is there, a value model perhaps
CANARIES = 32
CANARY_REPS = 8


def save(model: ConversionModel, folder: Path) -> None:
    """Write the model's files into `folder`. Raises ValueError where anything is in it already."""
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):  # a lead model of the other kind, left there, would be loaded instead
        raise ValueError(f"{folder} is not empty: a model is written into a folder of its own.")
    _save_lead_model(model.lead_model, folder)
    for name in EFFECT_FILES:
        np.save(folder / f"{name}.npy", np.ascontiguousarray(getattr(model.effects, name)), allow_pickle=False)
    np.save(folder / "score_grid.npy", model.score_grid, allow_pickle=False)
    if model.value_model is not None:
        _write(folder / "value_model.json", model.value_model.to_json())
    _write(folder / "reps.json", [_rep_to_json(rep) for rep in model.reps])
    _write(
        folder / "model.json",
        {
            "format": FORMAT,
            "contract": model.contract.to_json(),
            "lead_design": model.lead_design.to_json(),
            "pair_design": model.pair_design.to_json(),
            "hand_variance": model.effects.hand_variance,
            "load_effect": model.effects.load_effect,
            "calibration": asdict(model.calibration),
            "grade_cuts": model.grade_cuts,
            "verdict": model.verdict,
            "window_days": model.window_days,
            "facts": model.facts,
        },
    )
    _write(folder / "canary.json", canary_rows(model))


def load(folder: Path) -> ConversionModel:
    """The model that `save` wrote. Verify a folder from elsewhere first: LightGBM trusts its text.

    Raises ValueError where the format is another one, OSError where a file is missing.
    """
    about = json.loads((folder / "model.json").read_text(encoding="utf-8"))
    if about.get("format") != FORMAT:
        raise ValueError(f"Model files of format {about.get('format')!r}; this version reads format {FORMAT}.")
    arrays = {name: np.load(folder / f"{name}.npy", allow_pickle=False) for name in EFFECT_FILES}
    effects = RepEffects(
        **arrays, hand_variance=float(about["hand_variance"]), load_effect=float(about["load_effect"])
    )
    reps = json.loads((folder / "reps.json").read_text(encoding="utf-8"))
    cuts = about["grade_cuts"]
    worth = folder / "value_model.json"
    return ConversionModel(
        contract=ColumnContract.from_json(about["contract"]),
        lead_model=_load_lead_model(folder),
        lead_design=LeadDesign.from_json(about["lead_design"]),
        pair_design=PairDesign.from_json(about["pair_design"]),
        reps=tuple(_rep_from_json(rep) for rep in reps),
        effects=effects,
        calibration=Calibration(**about["calibration"]),
        score_grid=np.load(folder / "score_grid.npy", allow_pickle=False),
        grade_cuts=(float(cuts[0]), float(cuts[1]), float(cuts[2])),
        verdict=about["verdict"],
        window_days=float(about["window_days"]),
        facts=about["facts"],
        value_model=ValueModel.from_json(json.loads(worth.read_text(encoding="utf-8"))) if worth.exists() else None,
    )


def canary_rows(model: ConversionModel) -> dict[str, Any]:
    """Made-up leads with the probabilities this model gives them, so that a loaded copy can be checked.

    Values are drawn from the contract's own levels and from round numbers; no customer's data are in them.
    """
    rng = np.random.default_rng(0)
    leads = np.empty((CANARIES, len(model.contract.features)))
    for place, feature in enumerate(model.contract.features):
        many = len(feature.levels)
        leads[:, place] = rng.integers(0, many, CANARIES) if many else np.round(rng.normal(0, 10, CANARIES), 2)
    leads[rng.random(leads.shape) < 0.05] = np.nan
    at_days = np.full(CANARIES, 20_000.0)
    rows = [[None if np.isnan(value) else float(value) for value in row] for row in leads]
    return {"leads": rows, "at_days": 20_000.0, "expected": canary_answers(model, leads, at_days).tolist()}


def canary_answers(model: ConversionModel, leads: np.ndarray, at_days: np.ndarray) -> np.ndarray:
    """What this model says of canary leads: F, the log of their worth if it tells, P under some reps and under all.

    P stands there by itself for the first few reps, and as a mean for the whole roster.
    """
    said = [model.lead_model.log_odds(leads)[:, None]]
    if model.value_model is not None:
        said.append(np.log(model.value_model.expected(leads))[:, None])
    if model.reps:
        p = RosterModel(model, model.reps).probability(leads, at_days)
        said += [p[:, :CANARY_REPS], p.mean(axis=1, keepdims=True)]
    return np.hstack(said)


def check_canaries(model: ConversionModel, folder: Path, *, tolerance: float = 1e-9) -> None:
    """Raise ValueError where the loaded model does not give its canary rows what it gave them when it was saved."""
    canary = json.loads((folder / "canary.json").read_text(encoding="utf-8"))
    leads = np.array([[np.nan if v is None else v for v in row] for row in canary["leads"]], dtype=float)
    if leads.shape[1:] != (len(model.contract.features),):
        raise ValueError(f"The contract has {len(model.contract.features)} columns, the canary rows have others.")
    seen = canary_answers(model, leads, np.full(len(leads), float(canary["at_days"])))
    expected = np.array(canary["expected"], dtype=float)
    if seen.shape != expected.shape or not np.isfinite(seen).all() or np.abs(seen - expected).max() > tolerance:
        raise ValueError("The model does not reproduce its own canary rows: its files do not belong together.")


def _save_lead_model(model: LeadModel, folder: Path) -> None:
    if isinstance(model, Trees):
        model = model.saved
    if isinstance(model, SavedTrees):
        (folder / "lead_model.txt").write_text(f"base={model.base!r}\n{model.text}", encoding="utf-8")
    elif isinstance(model, Logistic):
        _write(folder / "lead_model.json", {f.name: getattr(model, f.name) for f in fields(model)})
    else:
        raise TypeError(f"No file format for a lead model of type {type(model).__name__}.")


def _load_lead_model(folder: Path) -> LeadModel:
    if (folder / "lead_model.txt").exists():
        base, text = (folder / "lead_model.txt").read_text(encoding="utf-8").split("\n", 1)
        return SavedTrees(text, float(base.removeprefix("base=")))
    plain = json.loads((folder / "lead_model.json").read_text(encoding="utf-8"))
    return Logistic(
        categorical=tuple(plain["categorical"]),
        levels=tuple(plain["levels"]),
        means=np.array(plain["means"], dtype=float),
        scales=np.array(plain["scales"], dtype=float),
        coefficients=np.array(plain["coefficients"], dtype=float),
        centres=np.array(plain["centres"], dtype=float),
        hand_effect=float(plain["hand_effect"]),
    )


def _rep_to_json(rep: Rep) -> dict[str, Any]:
    """The rep without her name: a model folder holds no personal data beyond the id."""
    plain = {f.name: getattr(rep, f.name) for f in fields(rep) if f.name != "name"}
    plain["attributes"] = dict(rep.attributes)
    return {k: v.isoformat() if isinstance(v, datetime) else v for k, v in plain.items()}


def _rep_from_json(plain: Mapping[str, Any]) -> Rep:
    instants = ("hired_at", "left_at", "absent_from", "absent_until")
    lists = ("regions", "skills", "languages")
    values = dict(plain)
    values |= {name: datetime.fromisoformat(values[name]) for name in instants if values.get(name)}
    values |= {name: tuple(values[name]) for name in lists}
    return Rep(**values)


def _write(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, ensure_ascii=False, indent=1, sort_keys=True, default=_plain), encoding="utf-8")


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} has no JSON form.")
