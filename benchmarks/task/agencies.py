"""The agencies that every subject of the benchmark serves; at the top of its task root."""

from collections.abc import Callable

from agency_swarm import Agency
from bench_agency import create_agency, create_one

AGENCIES: dict[str, Callable[..., Agency]] = {"bench": create_agency, "one": create_one}
