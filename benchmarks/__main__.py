"""`python -m benchmarks [--quick]`: measure everything, print it, and write build/bench.json and build/bench.svg."""

# Without --quick also docs/performance.svg and the tables of docs/performance.md. A missed goal is printed, and the
# exit code stays 0: this measures, on whatever machine it is; what must not grow is held by benchmarks/budget.py.

import argparse
import json
import sys
import time
from pathlib import Path

from benchmarks import (
    background,
    chart,
    cold,
    growth,
    machine,
    memory,
    report,
    sizes,
    stores,
    stream,
    warm,
)
from benchmarks.beside import measure as beside
from benchmarks.environment import WrongAnswer
from benchmarks.results import Measure, Measured

MEASUREMENTS: tuple[Measure, ...] = (
    sizes.measure,
    cold.measure,
    beside.measure,
    warm.measure,
    stream.measure,
    growth.measure,
    background.measure,
    memory.measure,
    stores.measure,
)
_ROOT = Path(__file__).parent.parent
_PAGE = _ROOT / "docs" / "performance.md"
_BEGIN, _END = "<!-- tables: make bench -->", "<!-- end of tables -->"


def main() -> None:
    """Measure, then tell."""
    arguments = argparse.ArgumentParser(prog="python -m benchmarks")
    arguments.add_argument("--quick", action="store_true", help="few rounds, and docs/ stays as it is")
    quick = arguments.parse_args().quick
    told, measured = machine.describe(), _measured(quick)
    text, picture = (
        report.tables(told, measured),
        chart.draw([each for each in measured[0] if each.section == cold.SECTION]),
    )
    print(text)
    print("\n".join(report.missed(measured[1])))
    (_ROOT / "build" / "bench.json").write_text(json.dumps(report.as_json(told, measured), indent=1) + "\n")
    (_ROOT / "build" / "bench.svg").write_text(picture)
    if not quick:
        _PAGE.with_suffix(".svg").write_text(picture)
        _PAGE.write_text(between_marks(_PAGE.read_text(), text))


def between_marks(page: str, text: str) -> str:
    """The page with this text for its tables."""
    head, rest = page.split(_BEGIN)
    return f"{head}{_BEGIN}\n{text}{_END}{rest.split(_END)[1]}"


def _measured(quick: bool) -> Measured:
    series, ratios = [], []
    for measure in MEASUREMENTS:
        begun = time.monotonic()
        more_series, more_ratios = measure(quick=quick)
        series += more_series
        ratios += more_ratios
        print(f"{measure.__module__}: {time.monotonic() - begun:.0f} s", file=sys.stderr)
    return series, ratios


if __name__ == "__main__":
    try:
        main()
    except WrongAnswer as error:
        sys.exit(f"Nothing was measured: {error}")
