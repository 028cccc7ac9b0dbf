"""The cold start as bars in an SVG: one panel a metric, ours between what is run instead and the floors beneath it."""

from collections.abc import Sequence
from html import escape

from benchmarks.report import number
from benchmarks.results import Series
from benchmarks.subjects import AS_PIP_SHIPS_IT, BARE, MANGUM, OPENAI, OURS, WITH_BYTECODE

_SUBJECTS = (AS_PIP_SHIPS_IT, WITH_BYTECODE, OURS, OPENAI, MANGUM, BARE)
_PANELS = {"CPU": "Cold start to the first answer: CPU seconds", "peak RSS": "Peak memory, MB"}
_WIDTH, _LABELS, _NUMBERS, _ROW, _HEAD = 760, 220, 60, 28, 44  # pixels
_TEXT, _OURS, _OTHERS = "#7d8590", "#2f81f7", "#8b949e"  # each is read on white and on black


def draw(series: Sequence[Series]) -> str:
    """The SVG of the medians in `series` of a cold start."""
    parts, top = [], 0
    for metric, title in _PANELS.items():
        medians = {each.subject: each.median for each in series if each.metric == metric}
        parts += _panel(title, {name: medians[name] for name in _SUBJECTS}, top)
        top += _HEAD + _ROW * len(_SUBJECTS)
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {top}" width="{_WIDTH}" role="img"'
    label = "Cold start: " + "; ".join(_PANELS.values())
    font = 'font-family="system-ui, sans-serif" font-size="14"'
    return "\n".join([f'{head} aria-label="{escape(label)}" {font} fill="{_TEXT}">', *parts, "</svg>\n"])


def _panel(title: str, values: dict[str, float], top: int) -> list[str]:
    scale = (_WIDTH - _LABELS - _NUMBERS) / max(values.values())
    lines = [f'<text x="0" y="{top + 26}" font-weight="bold">{escape(title)}</text>']
    for row, (name, value) in enumerate(values.items()):
        y, width = top + _HEAD + row * _ROW, max(1.0, value * scale)
        weight = ' font-weight="bold"' if name == OURS else ""
        lines += [
            f'<text x="{_LABELS - 10}" y="{y + 15}" text-anchor="end"{weight}>{escape(name)}</text>',
            f'<rect x="{_LABELS}" y="{y}" width="{width:.1f}" height="{_ROW - 8}" rx="2" fill="{_colour(name)}"/>',
            f'<text x="{_LABELS + width + 8:.1f}" y="{y + 15}"{weight}>{number(value)}</text>',
        ]
    return lines


def _colour(name: str) -> str:
    return _OURS if name == OURS else _OTHERS
