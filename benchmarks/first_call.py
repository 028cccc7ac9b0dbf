"""The first real call: OpenAI's client, HTTP and a model server on loopback; then more, in the same process."""

from collections import defaultdict
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks import loopback, subjects
from benchmarks.environment import costs
from benchmarks.results import Measured, Series, ratio
from benchmarks.subjects import OURS, WITH_BYTECODE

SECTION = "First call of a model"
FIRST, NEXT = "CPU to the first answer", "CPU of each after it"
_MORE = 10  # one alone would be about one tick of the clock


def measure(*, quick: bool) -> Measured:
    """One agent, one model call. The first includes the start of the process."""
    spent: dict[tuple[str, str], list[float]] = defaultdict(list)
    with TemporaryDirectory() as folder, loopback.serving(loopback.said) as url:
        model = {"OPENAI_API_KEY": "none", "OPENAI_BASE_URL": f"{url}/v1"}
        for _ in range(2 if quick else 10):
            peer = subjects.with_bytecode("one", **model)
            for subject, request in (peer, subjects.ours(Path(folder), subjects.completion("one"), **model)):
                first, *_, last = costs(subject, *[request] * (1 + _MORE))
                spent[subject.name, FIRST].append(first.cpu)
                spent[subject.name, NEXT].append((last.cpu - first.cpu) / _MORE)
    series = {key: Series(SECTION, *key, "s", tuple(values)) for key, values in spent.items()}
    over, under = series[OURS, FIRST], series[WITH_BYTECODE, FIRST]
    return [*series.values()], [ratio(SECTION, f"{FIRST}: {OURS} / {WITH_BYTECODE}", over, under)]
