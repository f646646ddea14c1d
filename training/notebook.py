"""What `mlflow.pyfunc.load_model("models:/leadmatch@champion")` imports: a bundle's files as a scorer of pairs.

Nothing is unpickled. The signature is not checked here: load only from a registry that you trust.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import expit

from data.roster import Rep
from features.columns import instants
from training.conversion import ConversionModel, RosterModel
from training.model_files import load


class PairScorer:
    """P(convert | lead, rep) of a frame of pairs: the lead's columns and `rep_id`, one pair a row."""

    def __init__(self, model: ConversionModel) -> None:
        self.model = model

    def predict(self, frame: pd.DataFrame, params: Mapping[str, Any] | None = None) -> np.ndarray:
        """Probability of each pair, shape (n,).

        Reps are those of the training's roster, as they stood then; a rep it never saw counts as an average
        one. Without `created_at` the rep counts as settled.
        """
        if "rep_id" not in frame or frame["rep_id"].isna().any():
            raise ValueError("Each row needs a rep_id beside the lead's columns.")
        names = frame["rep_id"].astype(str)
        known = {rep.rep_id for rep in self.model.reps}
        strangers = tuple(Rep(name) for name in dict.fromkeys(names) if name not in known)
        roster = RosterModel(self.model, (*self.model.reps, *strangers))
        place = {rep.rep_id: i for i, rep in enumerate(roster.reps)}
        rep = np.array([place[name] for name in names], dtype=np.intp)
        leads = self.model.contract.encode({str(name): frame[name] for name in frame.columns}, len(frame))
        at_days = instants(frame["created_at"]) if "created_at" in frame else np.full(len(frame), np.nan)
        own = np.einsum("nw,nw->n", self.model.lead_design.matrix(leads), roster.effects[rep])
        shared = roster.matches.for_pairs(leads, rep, at_days) @ self.model.effects.beta
        return np.asarray(expit(self.model.calibration.apply(self.model.lead_model.log_odds(leads) + own + shared)))


def _load_pyfunc(path: str) -> PairScorer:
    return PairScorer(load(Path(path)))
