"""Whatever order messages end in, and wherever an attempt is broken off, the models are asked the same."""

import asyncio
import tempfile
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

from agency_swarm import Agency
from hypothesis import given, settings
from hypothesis import strategies as st

from agency_lambda.offline.turn import text_of
from tests.library.features.messages import Asked, Office, batches, stored_in, to
from tests.library.runs.stage import said

FIRST = [to("Clerk", "a"), to("Aide", "b"), to("Clerk", "a"), to("Aide", "c")]
CALLS = 18  # of models, in one attempt
PAUSES = st.lists(st.integers(0, 4), min_size=CALLS, max_size=CALLS)


def agency(office: Office) -> Agency:
    def aide(turn: Any) -> Any:
        return batches([to("Clerk", f"{turn.message}1"), to("Clerk", f"{turn.message}2")])(turn)

    boss = office.agent("Boss", batches(FIRST, [to("Aide", "d"), to("Clerk", "e")]))
    helper, clerk = office.agent("Aide", aide), office.agent("Clerk")
    return Agency(boss, communication_flows=[boss > helper, boss > clerk, helper > clerk])


async def played(pauses: list[int], breaks: int | None = None) -> tuple[list[Asked], str, list[Any]]:
    """Return what the models were asked, the final words, and the agents' memory."""
    answered = 0
    broken = asyncio.Event()

    async def answer(asked: Asked) -> None:
        nonlocal answered
        await asyncio.sleep(pauses[len(office.asked) % CALLS] / 1000)
        if answered == breaks:
            broken.set()
            await asyncio.sleep(9)
        answered += 1

    office = Office(answer)
    with tempfile.TemporaryDirectory() as folder:
        run = stored_in(Path(folder))(lambda: agency(office))
        attempt = asyncio.ensure_future(run.attempt())
        await asyncio.wait({attempt, wait := asyncio.ensure_future(broken.wait())}, return_when="FIRST_COMPLETED")
        wait.cancel()
        if breaks is not None:
            attempt.cancel()
            with suppress(asyncio.CancelledError):
                await attempt
            breaks = None
            attempt = asyncio.ensure_future(run.attempt())
        result = await attempt
        assert CALLS <= answered <= CALLS + len(FIRST)  # some may have been answered and not stored yet
    memory = [(item["agent"], item["callerAgent"], text_of(item.get("content"))) for item in result.history]
    return office.asked, said(run.output[-1]), memory


@cache
def undisturbed() -> tuple[list[Asked], str, list[Any]]:
    return asyncio.run(played([0] * CALLS))


@given(PAUSES, st.integers(0, CALLS - 1))
@settings(max_examples=10, deadline=None)
def test_timing_and_broken_attempts_change_no_request_and_no_memory(pauses: list[int], breaks: int) -> None:
    asked, words, memory = asyncio.run(asyncio.wait_for(played(pauses, breaks), 20))
    assert {*asked} == {*undisturbed()[0]}
    assert (words, memory) == undisturbed()[1:]
