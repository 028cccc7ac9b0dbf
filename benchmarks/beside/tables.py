"""The figures as the report's series: a table for each question."""

from benchmarks.beside.peer import Peer
from benchmarks.results import Series
from benchmarks.timing import percentile

type Values = dict[tuple[str, str, str], list[float]]  # (question, subject, metric) -> one a round

RUN = "Beside others: one run, one client"
CROWD = "Beside others: many clients"
START = "Beside others: start and memory"
CONVERSATION = "Beside others: a conversation that grows"
STREAM = "Beside others: a stream"
_SECTIONS = {"run": RUN, "crowd": CROWD, "start": START, "conversation": CONVERSATION, "stream": STREAM}


def series(peers: list[Peer], values: Values) -> list[Series]:
    """Return the series in the order of the sections, with what each peer keeps beside it."""
    keeps = {peer.title(form): form.keeps for peer in peers for form in peer.forms}
    titles = {peer.name: peer.title(peer.forms[0]) for peer in peers}
    slowest = {
        ("run", subject, "wall p99"): [percentile(walls, 99)]
        for (question, subject, _), walls in values.items()
        if question == "wall"
    }
    made = []
    for question, section in _SECTIONS.items():
        for (asked, subject, metric), numbers in {**values, **slowest}.items():
            if asked == question:
                title = titles.get(subject, subject) if question in ("crowd", "conversation") else subject
                kept = "" if question in ("start", "stream") else keeps[title]
                made.append(Series(section, title, *_named(question, metric), tuple(numbers), kept))
    return made


def _named(question: str, metric: str) -> tuple[str, str]:
    match question:
        case "start":
            return (f"{metric} to the first answer", "s") if metric in ("CPU", "wall") else (metric, "MB")
        case "conversation":
            return f"CPU of {metric}", "ms"
        case "stream":
            return f"token to event, wall {metric}", "ms"
    return metric, "" if metric.endswith("second") else "ms"
