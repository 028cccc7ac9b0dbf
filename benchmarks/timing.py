"""CPU and wall of one thing that is done again and again."""

import math
import time
from collections.abc import Callable, Sequence
from typing import Any


def timed(do: Callable[[], Any], times: int) -> dict[str, list[float]]:
    """Milliseconds of each time: "CPU" of the whole process, with its threads, and "wall"."""
    took: dict[str, list[float]] = {"CPU": [], "wall": []}
    for _ in range(times):
        wall, cpu = time.perf_counter_ns(), time.process_time_ns()
        do()
        took["CPU"].append((time.process_time_ns() - cpu) / 1e6)
        took["wall"].append((time.perf_counter_ns() - wall) / 1e6)
    return took


def percentile(values: Sequence[float], percent: float) -> float:
    """The smallest of the values that so many percent of them do not exceed."""
    return sorted(values)[math.ceil(len(values) * percent / 100) - 1]
