"""The goals: this project's figures over those of its peers."""

from collections.abc import Callable

from benchmarks.beside import others, ours
from benchmarks.beside.tables import CONVERSATION, CROWD, RUN, START, STREAM
from benchmarks.results import Ratio, Series, ratio

type Find = Callable[[str, str, str], Series]  # by section, subject and metric

_STORED, _UNSTORED = f"{ours.NAME}, stored", f"{ours.NAME}, not stored"


def of(series: list[Series]) -> list[Ratio]:
    """Return the ratios of what was measured; without a peer, without those to it."""
    known = {(each.section, each.subject, each.metric): each for each in series}

    def find(section: str, subject: str, metric: str) -> Series:
        return known[section, subject, metric]

    return [*_runs(find, known.keys()), *_crowds(find, series), *_starts(series), *_own(find)]


def _runs(find: Find, known: object) -> list[Ratio]:
    goals = [
        (_STORED, f"{others.BARE}, stored", 0.65),
        (_STORED, f"{others.AGNO}, stored", 1.0),
        (_STORED, f"{others.NEWEST}, stored", None),
        (_UNSTORED, f"{others.BARE}, not stored", 0.6),
        (_UNSTORED, f"{others.AGNO}, not stored", None),
    ]
    return [
        ratio(RUN, f"CPU: {one} / {other}", find(RUN, one, "CPU p50"), find(RUN, other, "CPU p50"), at_most)
        for one, other, at_most in goals
        if (RUN, other, "CPU p50") in known  # type: ignore[operator]
    ]


def _crowds(find: Find, series: list[Series]) -> list[Ratio]:
    slow, usual = (find(CROWD, _STORED, f"16 clients, p{percent}") for percent in (99, 50))
    made = [ratio(CROWD, f"{_STORED}, 16 clients: p99 / p50", slow, usual, 1.5)]
    for clients in (16, 64):
        rate, cpu = f"{clients} clients, runs a second", f"{clients} clients, CPU a run"
        best = _best([each for each in series if each.metric == rate], max)
        made.append(ratio(CROWD, f"{rate}: the best other / {ours.NAME}", best, find(CROWD, _STORED, rate), 1.0))
        best = _best([each for each in series if each.metric == cpu], min)
        made.append(ratio(CROWD, f"{cpu}: {ours.NAME} / the best other", find(CROWD, _STORED, cpu), best))
    return made


def _starts(series: list[Series]) -> list[Ratio]:
    found = [each for each in series if each.section == START]
    made = []
    for metric in dict.fromkeys(each.metric for each in found):
        (own,) = (each for each in found if each.metric == metric and each.subject == ours.NAME)
        best = _best([each for each in found if each.metric == metric], min)
        made.append(ratio(START, f"{metric}: {ours.NAME} / the best other", own, best, 1.0))
    return made


def _own(find: Find) -> list[Ratio]:
    late, early = (find(CONVERSATION, _STORED, f"CPU of turn {turn}") for turn in (100, 1))
    soon = find(STREAM, ours.NAME, "token to event, wall p50")
    return [
        ratio(CONVERSATION, f"CPU: turn 100 / turn 1, {_STORED}", late, early, 1.5),
        Ratio(STREAM, f"{ours.NAME}, token to event, to 1 ms: wall p50", soon.values, 1.0),
    ]


def _best(series: list[Series], choose: Callable[..., float]) -> Series:
    # The best of the others in each round.
    rounds = zip(*(each.values for each in series if not each.subject.startswith(ours.NAME)), strict=True)
    return Series("", "the best other", "", "", tuple(choose(values) for values in rounds))
