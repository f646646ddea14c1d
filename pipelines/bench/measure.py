"""Timing in turn: every candidate a little at a time, so that a busy machine is busy for all of them."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

Job = Callable[[int], object]  # told which round it is, so that no two rounds ask the same


@dataclass(frozen=True)
class Spread:
    """Times of one job in microseconds: the median, and the tenth and ninetieth percentile."""

    median: float
    low: float
    high: float
    wall_median: float

    def as_dict(self) -> dict[str, float]:
        """Plain values, named with their unit."""
        return {
            "median_us": self.median, "p10_us": self.low, "p90_us": self.high, "wall_median_us": self.wall_median,
        }  # fmt: skip


def in_turn(jobs: Mapping[str, tuple[Job, int]], rounds: int) -> dict[str, Spread]:
    """Each job's times, of thread CPU (wall beside it): so many calls of each a round, one job after the other.

    jobs : name -> (job, calls a round). The first round only warms up.
    """
    cpu: dict[str, list[float]] = {name: [] for name in jobs}
    wall: dict[str, list[float]] = {name: [] for name in jobs}
    number = 0
    for turn in range(rounds + 1):
        for name, (job, calls) in jobs.items():
            for _ in range(calls):
                number += 1
                wall_from, cpu_from = time.perf_counter(), time.thread_time()
                job(number)
                cpu_to, wall_to = time.thread_time(), time.perf_counter()
                if turn:
                    cpu[name].append(cpu_to - cpu_from)
                    wall[name].append(wall_to - wall_from)
    return {name: spread(cpu[name], wall[name]) for name in jobs}


def spread(seconds: list[float], wall: list[float] | None = None) -> Spread:
    """The spread of times in seconds."""
    low, median, high = np.percentile(seconds, [10, 50, 90])
    return Spread(1e6 * median, 1e6 * low, 1e6 * high, 1e6 * float(np.median(seconds if wall is None else wall)))


def growth(sizes: list[int], times: list[float]) -> float:
    """The exponent b of time ~ size^b, by least squares on the logs: 1 is linear, less is better."""
    return float(np.polyfit(np.log(sizes), np.log(times), 1)[0])


def case(name: str, ours: Spread, other: Spread, *, against: str, unit: str = "thread CPU") -> dict[str, object]:
    """One line of the report: our median, the other's, and how many times ours goes into it."""
    return {
        "case": name,
        "against": against,
        "unit": unit,
        "ours_us": ours.median,
        "ours_p10_us": ours.low,
        "ours_p90_us": ours.high,
        "other_us": other.median,
        "other_p10_us": other.low,
        "other_p90_us": other.high,
        "ours_wall_us": ours.wall_median,
        "other_wall_us": other.wall_median,
        "ratio": other.median / ours.median,
    }
