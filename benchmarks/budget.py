"""`python -m benchmarks.budget`: what benchmarks/budget.toml allows, and what there is. Exit code 1: something grew."""

import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

from agency_lambda_cdk import bundle
from benchmarks import modules, subjects, task_roots, turn_growth
from benchmarks.environment import WrongAnswer, costs
from benchmarks.report import number

FILE = Path(__file__).with_suffix(".toml")
_ROUNDS = 7

type Budget = Mapping[str, Mapping[str, float]]


def main() -> None:
    """Print each line of the budget, and end with what is over."""
    budget, found = tomllib.loads(FILE.read_text()), _measured()
    for name, value in found.items():
        print(f"{name:26}{number(value):>8} of {number(budget[name]['at_most'])}")
    if over := exceeded(budget, found):
        sys.exit("\n".join(over))


def exceeded(budget: Budget, found: Mapping[str, float]) -> list[str]:
    """A sentence for each that is over.

    Raises:
        ValueError: the two do not name the same things, so something would not be held.
    """
    if budget.keys() != found.keys():
        raise ValueError(f"budget.toml and budget.py differ in {sorted(budget.keys() ^ found.keys())}")
    return [
        f"{name} is {number(found[name])}, over the {number(line['at_most'])} of benchmarks/budget.toml (it was "
        f"{number(line['measured'])} when that was written): take back what added it, or raise it there and say why"
        for name, line in budget.items()
        if found[name] > line["at_most"]
    ]


def _measured() -> dict[str, float]:
    folder, archive = (
        bundle.build(task_roots.ARCHITECTURE, task_roots.AGENTS),
        bundle.zipped(task_roots.ARCHITECTURE, task_roots.AGENTS),
    )
    with TemporaryDirectory() as scratch:
        completion, health = (
            subjects.ours(Path(scratch), request) for request in (subjects.completion(), subjects.health())
        )
        return {
            "modules-until-completion": len(modules.ran(*completion)),
            "modules-until-health": len(modules.ran(*health)),
            "cpu-over-floor": _cpu_over_floor(Path(scratch)),
            "turn-growth": turn_growth.measure(),
            "megabytes-unzipped": bundle.parts(folder).total() / 1e6,
            "megabytes-zipped": archive.stat().st_size / 1e6,
        }


def _cpu_over_floor(scratch: Path) -> float:
    # The least of each, in turns: other work on a machine adds to CPU time, and never takes from it.
    floor = subjects.floors()[-1]
    below, above = [], []
    for _ in range(_ROUNDS):
        below.append(costs(*floor)[0].cpu)
        above.append(costs(*subjects.ours(scratch, subjects.completion()))[0].cpu)
    return min(above) / min(below)


if __name__ == "__main__":
    try:
        main()
    except WrongAnswer as error:
        sys.exit(f"The budget could not be held: {error}")
