"""The benchmark as tables."""

from typing import Any

from pipelines.console import OUT, table


def told(made: dict[str, Any]) -> None:
    """Print every case, how times grow, and what has fallen."""
    rows = [
        [each["case"], each["against"], _time(each["ours_us"]), _time(each["other_us"]), f"{each['ratio']:.3g}x"]
        for each in made["cases"]
    ]
    if not made["machine"]["compiled"]:
        OUT.print("Not compiled when it was installed, for want of a C compiler: numpy does the arithmetic.")
    table("In turn, medians", ["what", "against", "ours", "other", "other / ours"], rows)
    for each in made["alone"]:
        if "ours_mb" in each:
            OUT.print(f"{each['case']}: {each['ours_mb']:.0f} {each['unit']}")
        else:
            tail = f", p99 {_time(each['p99_us'])}, {each['tail']:.1f} times the p50" if "tail" in each else ""
            OUT.print(f"{each['case']}: {_time(each['ours_us'])}{tail}{_of_several(each)}")
    for each in made["growth"]:
        points = ", ".join(f"{n:,} reps {_time(us)}" for n, us in zip(each["sizes"], each["median_us"], strict=True))
        OUT.print(f"{each['growth']}: {points}; grows as reps^{each['exponent']:.2f}")
    for each in made["fallen"]:
        OUT.print(f"fallen: {each['case']}: {each['ratio']:.3g}x, recorded {each['recorded']:.3g}x")


def _of_several(case: dict[str, Any]) -> str:
    """Of a median over a few runs: their range, and the processor's time."""
    if "times" not in case:
        return ""
    between = f"{_time(case['lowest_us'])} to {_time(case['highest_us'])} of {case['times']} starts"
    return f" ({between}; {_time(case['cpu_us'])} of processor time)"


def _time(us: float) -> str:
    return f"{us / 1e6:.2f} s" if us >= 1e6 else f"{us / 1e3:.2f} ms" if us >= 1e3 else f"{us:.0f} us"
