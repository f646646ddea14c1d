"""What a challenger's choices would have been worth beside the champion's, on rows with logged propensities."""

import numpy as np

from pipelines.evaluate import blocks
from pipelines.floor import Floor, lay_out
from pipelines.prepare import Prepared
from serving.policy.exploration import LEARN, smoothed
from training.conversion import ConversionModel, RosterModel
from training.judging import Log, difference, judge
from training.policy_value import PolicyValue

LEAST_LOGGED = 300  # rows with a propensity


def worth_of_change(
    prepared: Prepared,
    rows: np.ndarray,
    challenger: ConversionModel,
    champion: ConversionModel,
    champions_leads: np.ndarray,
    *,
    seed: int,
) -> PolicyValue | None:
    """Conversions per lead that the challenger's choices gain over the champion's, doubly robust.

    rows : positions in the mature spells that neither model learned from; champions_leads : (n_rows, n_features), the
    same leads encoded with the champion's contract. Both choose as the service does while it learns, at no price.
    None where fewer than 300 of the rows logged a propensity, or these tell too little of one of the two.
    """
    logged = ~np.isnan(prepared.spells.propensity[rows])
    if logged.sum() < LEAST_LOGGED:
        return None
    floor = lay_out(prepared, rows[logged])
    theirs = RosterModel(champion, floor.reps).probability(champions_leads[logged], floor.spells.at_days)
    ours = RosterModel(challenger, floor.reps).probability(floor.spells.leads, floor.spells.at_days)
    log = Log(
        converted=floor.spells.converted.astype(float),
        chosen=floor.spells.rep,
        logged=floor.spells.propensity,
        predicted=(ours + theirs) / 2,  # any that did not see the rows would do; this one takes neither's side
        block=blocks(floor.spells.at_days, dated=prepared.dataset.dated),
        verified=True,
    )
    rng = np.random.default_rng(seed)
    judged = [judge(name, log, choices(p, floor), rng) for name, p in (("challenger", ours), ("champion", theirs))]
    return difference(judged[0], judged[1], log, rng)


def choices(probability: np.ndarray, floor: Floor) -> np.ndarray:
    """The propensities of choosing by these probabilities, (n_leads, n_reps), over who could get each lead."""
    nothing = np.zeros(probability.shape[1])
    return np.array(
        [smoothed(p, nothing, available, LEARN) for p, available in zip(probability, floor.available, strict=True)]
    )
