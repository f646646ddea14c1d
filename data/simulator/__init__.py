"""A sales floor whose truth is known."""

from data.simulator.files import holds_another, write
from data.simulator.gain import Gain, constrained_gain, share_of_possible_gain, unconstrained_gain
from data.simulator.simulate import simulate
from data.simulator.world import HIDDEN_GRADE, Truth, World

__all__ = [
    "HIDDEN_GRADE",
    "Gain",
    "Truth",
    "World",
    "constrained_gain",
    "holds_another",
    "share_of_possible_gain",
    "simulate",
    "unconstrained_gain",
    "write",
]
