"""The measurements as tables, for a terminal and for Markdown in one, and as JSON."""

from collections.abc import Iterable, Mapping, Sequence
from statistics import median
from typing import Any

from benchmarks.results import Measured, Ratio, Series


def tables(machine: Mapping[str, str], measured: Measured) -> str:
    """Markdown with aligned columns; a section has a table of medians (min to max), and one of ratios."""
    series, ratios = measured
    parts = [", ".join(f"{name} {value}" for name, value in machine.items()) + "."]
    for section in dict.fromkeys([each.section for each in series] + [each.section for each in ratios]):
        parts.append(f"### {section}")
        if numbers := [each for each in series if each.section == section]:
            parts.append(_table(_numbers(numbers)))
        if compared := [each for each in ratios if each.section == section]:
            header = ["ratio", "median", "min to max", "goal", ""]
            parts.append(_table([header, *map(_ratio, compared)]))
    return "\n\n".join(parts) + "\n"


def as_json(machine: Mapping[str, str], measured: Measured) -> dict[str, Any]:
    """Return everything, also what the tables round away."""
    series, ratios = measured
    return {
        "machine": dict(machine),
        "series": [{**vars(each), **_spread(each.values)} for each in series],
        "ratios": [{**vars(each), **_spread(each.values), "met": each.met} for each in ratios],
    }


def missed(ratios: Iterable[Ratio]) -> list[str]:
    """A sentence for each goal that was not reached."""
    return [
        f"missed: {each.section}, {each.name} is {number(each.median)}, not {each.at_most} or less"
        for each in ratios
        if not each.met
    ]


def number(value: float) -> str:
    """Three digits, and never an exponent."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3f}" if abs(value) < 0.1 else f"{value:.3g}"


def _numbers(series: Sequence[Series]) -> list[list[str]]:
    # A row a subject, a column a metric; in the order in which they first come.
    metrics = dict.fromkeys((each.metric, each.unit) for each in series)
    cells = {(each.subject, each.metric, each.unit): _cell(each.values) for each in series}
    header = ["", *(f"{metric}, {unit}" if unit else metric for metric, unit in metrics)]
    subjects = {each.subject: each.keeps for each in series}
    rows = [[name, *(cells.get((name, *metric), "") for metric in metrics)] for name in subjects]
    if not any(subjects.values()):
        return [header, *rows]
    return [[*header, "keeps"], *([*row, subjects[row[0]]] for row in rows)]


def _cell(values: Sequence[float]) -> str:
    spread = _spread(values)
    told = number(spread["median"])
    return told if len(values) == 1 else f"{told} ({number(spread['min'])} to {number(spread['max'])})"


def _ratio(each: Ratio) -> list[str]:
    spread = _spread(each.values)
    told = f"{number(spread['min'])} to {number(spread['max'])}" if len(each.values) > 1 else ""
    if each.at_most is None:
        return [each.name, number(spread["median"]), told, "", ""]
    return [each.name, number(spread["median"]), told, f"at most {each.at_most}", "met" if each.met else "**missed**"]


def _spread(values: Sequence[float]) -> dict[str, float]:
    return {"median": median(values), "min": min(values), "max": max(values)}


def _table(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    head, *body = ["| " + " | ".join(map(str.ljust, row, widths)) + " |" for row in rows]
    return "\n".join([head, "|" + "|".join("-" * (width + 2) for width in widths) + "|", *body])
