"""Traces go to the agency's own processors, and nowhere else; where there are none, none are made."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from agency_swarm import Agency, Agent
from agents import add_trace_processor, set_trace_processors, set_tracing_disabled
from agents.tracing import TracingProcessor, setup
from agents.tracing.processors import BatchTraceProcessor, default_processor
from agents.tracing.provider import DefaultTraceProvider

from agency_lambda.framework.models import tracing
from agency_lambda.framework.offline_model import OfflineModel
from tests.library.features.rows import holds
from tests.library.models.agencies import office, read_task
from tests.library.runs import stage


class Keeps(TracingProcessor):
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def on_trace_start(self, trace: Any) -> None:
        self.told.append("trace")

    def on_trace_end(self, trace: Any) -> None:
        self.told.append("end")

    def on_span_start(self, span: Any) -> None:
        self.told.append(span.span_data.type)

    def on_span_end(self, span: Any) -> None:
        pass

    def shutdown(self) -> None:
        pass

    def force_flush(self) -> None:
        self.told.append(f"flush in {threading.current_thread().name.partition('_')[0]}")


@pytest.fixture(autouse=True)
def provider(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A process whose SDK has no provider of traces yet."""
    monkeypatch.setattr(setup, "GLOBAL_TRACE_PROVIDER", None)
    return


def play(*args: Any, **kwargs: Any) -> Any:
    """Play the first run of a process: what it changes in the SDK is changed after what was there before."""
    tracing.install()
    return stage.play(*args, **kwargs)


def solo() -> Agency:
    def script(turn: Any) -> Any:
        return "offline model: done" if turn.calls else [("read_task", {"number": 7})]

    return Agency(Agent(name="Solo", instructions=".", model=OfflineModel("Solo", script), tools=[read_task]))


WHOLE = ["trace", "agent", "function", "end"]


def heard(keeps: Keeps) -> list[str]:
    return [kind for kind in keeps.told if kind in WHOLE]


@holds("tracing")
@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("add", [add_trace_processor, lambda each: set_trace_processors([each])], ids=["add", "set"])
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_processor_of_all_runs_is_told_of_each(add: Any, when: str, stream: bool) -> None:
    keeps = Keeps()
    if when == "after":
        tracing.install()
    add(keeps)
    for _ in range(2):
        assert play(solo, stream=stream).response["status"] == "completed"
    assert heard(keeps) == WHOLE * 2
    assert keeps.told.count("flush in asyncio") == 2


def test_one_of_create_agency_is_told_of_its_own_run_only() -> None:
    made: list[Keeps] = []

    def create() -> Agency:
        made.append(Keeps())
        add_trace_processor(made[-1])
        return solo()

    for _ in range(3):
        play(create)
    assert [heard(keeps) for keeps in made] == [WHOLE] * 3
    assert tracing.of_run.get() == ()
    play(solo)
    assert [heard(keeps) for keeps in made] == [WHOLE] * 3


def test_one_of_a_module_that_create_agency_imports_is_told_of_all_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "listens_at_its_top.py").write_text(
        "from agents import add_trace_processor\nfrom tests.library.features.test_tracing import Keeps\n"
        "KEEPS = Keeps()\nadd_trace_processor(KEEPS)\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))

    def create() -> Agency:
        import listens_at_its_top  # type: ignore[import-not-found]

        found.append(listens_at_its_top.KEEPS)
        return solo()

    found: list[Any] = []
    play(create)
    play(create)
    assert heard(found[0]) == WHOLE * 2


def test_nobody_listens_and_nothing_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Any] = []
    for name in ("create_trace", "create_span"):
        monkeypatch.setattr(DefaultTraceProvider, name, lambda *args, **more: made.append(args))
    threads = set(threading.enumerate())
    play(office)
    assert made == []
    assert all(each in threads or each.name.startswith("store_") for each in threading.enumerate())


def test_only_the_export_to_openai_is_left_out_of_what_was_there(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[Any] = []
    monkeypatch.setattr(BatchTraceProcessor, "on_trace_start", lambda *args: sent.append(args))
    keeps = Keeps()
    add_trace_processor(keeps)  # beside the SDK's own, which this makes
    play(solo)
    assert (heard(keeps), sent) == (WHOLE, [])
    add_trace_processor(default_processor())  # it is asked for
    monkeypatch.setattr(BatchTraceProcessor, "on_trace_end", lambda *args: None)
    monkeypatch.setattr(BatchTraceProcessor, "on_span_end", lambda *args: None)
    monkeypatch.setattr(BatchTraceProcessor, "force_flush", lambda *args: None)
    play(solo)
    assert len(sent) == 1


def test_who_turns_traces_off_gets_none() -> None:
    keeps = Keeps()
    add_trace_processor(keeps)
    set_tracing_disabled(True)
    play(solo)
    assert heard(keeps) == []


def test_a_provider_of_ones_own_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    class Own(DefaultTraceProvider):
        pass

    own = Own()
    monkeypatch.setattr(setup, "GLOBAL_TRACE_PROVIDER", own)
    own.set_disabled(True)
    play(solo)
    assert setup.GLOBAL_TRACE_PROVIDER is own
