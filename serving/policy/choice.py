"""Which methods decide a lead, with which share of chance: the same for a live decision and for a replay of one."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from serving.policy import arms
from serving.policy.exploration import EARN, LEARN, Floats
from serving.policy.methods import MethodSettings, Situation, propensities
from serving.policy.routes import Way
from serving.policy.sections import RuleBook


@dataclass(frozen=True)
class Choice:
    """The methods of both arms and what they are told; what a logged decision needs to be worked out again."""

    method: str
    control: str
    share: float  # of the leads that goes to the control
    arm: Literal["model", "rule", "fallback"]  # of a lead that is not held out
    settings: MethodSettings


def choice_of(
    rules: RuleBook,
    way: Way,
    *,
    mode: str,
    at: datetime,
    has_model: bool,
    distinguishes: bool,
    method: str | None = None,
) -> Choice:
    """What the rule book says of a lead that goes this way at `at`. `method` takes the place of the way's own.

    has_model : whether the lead was scored. distinguishes : whether the model tells one rep from another.
    """
    name, control = method or way.method, way.control
    arm: Literal["model", "rule", "fallback"] = "model" if name == "model" else "rule"
    share = way.holdout
    if share is None:
        share = rules.holdout.share(mode, at)
    if name == "model" and not has_model:
        name, arm, share = rules.fallback, "fallback", 0.0
    elif name == "model" and not distinguishes:
        share = 0.0  # the policy is rotation itself: there is nothing to hold out
    if control == "model" and not has_model:
        control, share = rules.fallback, 0.0
    return Choice(name, control, share, arm, settings_of(rules, way, mode=mode, distinguishes=distinguishes))


def settings_of(rules: RuleBook, way: Way, *, mode: str, distinguishes: bool) -> MethodSettings:
    """What the rule book tells the methods."""
    learns = rules.exploration == "learn" or (rules.exploration == "auto" and mode == "trial")
    return MethodSettings(
        exploration=LEARN if learns else EARN,
        weights=way.weights,
        distinguishes=distinguishes,
        tiers=rules.tiers,
        points=rules.points,
        performance=rules.performance,
        newcomers=rules.newcomers,
    )


def chances_of(choice: Choice, situation: Situation) -> tuple[Floats, Floats, Floats]:
    """Every rep's chance under the policy, under the control, and before the arm is known; each shape (m,)."""
    policy = propensities(choice.method, situation, choice.settings)
    control = propensities(choice.control, situation, choice.settings)
    return policy, control, arms.mixture(control, policy, choice.share)
