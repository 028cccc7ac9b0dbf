"""What `@once` protects is not simply made again by a later attempt."""

import asyncio
import inspect
import json
import threading
from pathlib import Path
from typing import Any

import pytest
from agency_swarm import BaseTool, function_tool
from agents import RunContextWrapper

from agency_lambda import once
from agency_lambda.protocol.approvals import ApprovalRequest, Decision
from agency_lambda.runs.journal import Journal
from agency_lambda.store import open_store
from tests.library.features.waiting import StoredRun, awaited
from tests.library.models.agencies import single
from tests.library.runs import stage
from tests.library.runs.attempts import Attempts, Ends, play


class Post:
    """Letters that were sent; `reconcile` looks there."""

    def __init__(self) -> None:
        self.ends, self.sent, self.looked = Ends(), list[str](), list[str]()

    async def lost(self, letter: str) -> str:
        """Sends a letter, and the first attempts end before they know."""
        self.sent.append(letter)
        await self.ends.here()
        return f"number {len(self.sent)}"

    def found(self, letter: str) -> str:
        self.looked.append(letter)
        return f"found {letter}"

    async def not_made(self, letter: str) -> Any:
        self.looked.append(letter)
        return once.NOT_MADE


@pytest.fixture
def post() -> Post:
    return Post()


def resumed(folder: Path, post: Post, *tools: Any, attempts: int = 2) -> tuple[str, list[str]]:
    """Return the answer of a run that needs so many attempts, and the kinds of rows in its journal."""

    async def test(run: Attempts) -> tuple[str, list[str]]:
        for _ in range(attempts - 1):
            assert await run.attempt() == "in_progress"
        assert await run.attempt() == "completed"
        return await run.answer(), await run.kinds()

    return play(folder, post.ends, lambda: single(tools=[*tools]), test)


def test_an_outcome_is_returned_without_a_call(tmp_path: Path, post: Post) -> None:
    async def deliver(context: RunContextWrapper[Any], letter: str) -> str:
        post.sent.append(letter)
        return f"number {len(post.sent)}"

    @function_tool
    async def send(context: RunContextWrapper[Any], letter: str) -> str:
        """Sends a letter."""
        number = await once(deliver)(context, letter)
        await post.ends.here()
        return number

    answer, kinds = resumed(tmp_path, post, send)
    assert (post.sent, kinds) == (["hello"], ["made", "model", "model", "once", "tool"])
    assert "send answered: number 1" in answer


def test_call_is_not_made_again_although_a_deployment_has_added_a_tool(tmp_path: Path, post: Post) -> None:
    @function_tool
    @once(reconcile=post.found)
    async def lost(letter: str) -> str:
        """Sends a letter."""
        return await post.lost(letter)

    @function_tool
    def new() -> str:
        """Is new."""
        return "new"

    async def test(run: Attempts) -> None:
        assert await run.attempt() == "in_progress"
        deployed.append(new)
        assert await run.attempt() == "completed"
        assert "lost answered: found hello" in await run.answer()

    deployed: list[Any] = [lost]
    play(tmp_path, post.ends, lambda: single(tools=[*deployed]), test)
    assert post.sent == ["hello"]


@pytest.mark.parametrize("is_found", [True, False])
def test_reconcile_says_whether_the_call_was_made(tmp_path: Path, post: Post, is_found: bool) -> None:
    @function_tool
    @once(reconcile=post.found if is_found else post.not_made)
    async def send(letter: str) -> str:
        """Sends a letter."""
        return await post.lost(letter)

    answer, kinds = resumed(tmp_path, post, send)
    assert (len(post.sent), post.looked, kinds.count("once")) == ((1, ["hello"], 1) if is_found else (2, ["hello"], 2))
    assert kinds.count("made") == 1
    assert f"send answered: {'found hello' if is_found else 'number 2'}" in answer


def test_what_was_made_again_and_lost_again_is_looked_for_again(tmp_path: Path, post: Post) -> None:
    post.ends.times = 3

    @function_tool
    @once(reconcile=post.not_made)
    async def send(letter: str) -> str:
        """Sends a letter."""
        return await post.lost(letter)

    answer, kinds = resumed(tmp_path, post, send, attempts=4)
    assert (len(post.sent), len(post.looked), kinds.count("once"), kinds.count("made")) == (4, 3, 4, 1)
    assert "send answered: number 4" in answer


def test_an_exception_is_an_outcome(tmp_path: Path, post: Post) -> None:
    @once
    async def deliver(letter: str) -> str:
        post.sent.append(letter)
        raise TimeoutError("the post office does not answer")

    @function_tool
    async def send(letter: str) -> str:
        """Sends a letter."""
        try:
            return await deliver(letter)
        finally:
            await post.ends.here()

    answer, _ = resumed(tmp_path, post, send)
    assert post.sent == ["hello"]
    assert "Error: the post office does not answer" in answer


def test_each_call_of_a_tool_is_its_own(tmp_path: Path, post: Post) -> None:
    @once(reconcile=lambda letter, to: f"found {letter} to {to}")
    async def deliver(letter: str, to: str) -> str:
        post.sent.append(to)
        if to == "Bob":
            await post.ends.here()
        return f"{letter} to {to} as {len(post.sent)}"

    @function_tool
    async def send(letter: str) -> str:
        """Sends letters, in another order in each attempt."""
        who = ["Ann", "Ann", "Bob"] if not post.sent else ["Bob", "Ann", "Ann"]
        return ", ".join(sorted(await asyncio.gather(*(deliver(letter, to=to) for to in who))))

    answer, kinds = resumed(tmp_path, post, send)
    assert (post.sent, kinds.count("once"), kinds.count("made")) == (["Ann", "Ann", "Bob"], 3, 3)
    assert "send answered: found hello to Bob, hello to Ann as 1, hello to Ann as 2" in answer


def test_a_synchronous_function_stays_in_its_thread(tmp_path: Path, post: Post) -> None:
    threads: list[int] = []

    @once
    def deliver(letter: str) -> str:
        threads.append(threading.get_ident())
        return f"{letter} is sent"

    @function_tool
    def send(letter: str) -> str:
        """Sends a letter."""
        threads.append(threading.get_ident())
        return deliver(letter)

    answer, kinds = resumed(tmp_path, post, send, attempts=1)
    assert len(threads) == 2
    assert threads[0] == threads[1] != threading.get_ident()
    assert ("send answered: hello is sent" in answer, kinds.count("made")) == (True, 1)


@pytest.mark.parametrize("is_async", [True, False])
def test_the_method_of_a_base_tool(tmp_path: Path, post: Post, is_async: bool) -> None:
    class Send(BaseTool):
        """Sends a letter."""

        letter: str

        if is_async:

            @once(reconcile=lambda tool: f"found {tool.letter}")
            async def run(self) -> str:
                return await post.lost(self.letter)

        else:

            @once(reconcile=lambda tool: f"found {tool.letter}")
            def run(self) -> str:
                post.sent.append(self.letter)
                future = asyncio.run_coroutine_threadsafe(post.ends.here(), loops[0])
                return str(future.result(10))

    class Note(BaseTool):
        """Finds the loop."""

        async def run(self) -> str:
            loops.append(asyncio.get_running_loop())
            return "noted"

    loops: list[Any] = []
    answer, _ = resumed(tmp_path, post, Note, Send)
    assert post.sent == ["hello"]
    assert "Send answered: found hello" in answer


def test_what_is_no_json_is_stored_as_the_text_that_a_model_gets(tmp_path: Path, post: Post) -> None:
    class Receipt:
        def __str__(self) -> str:
            return "receipt 7"

    @once
    async def deliver(letter: str) -> Any:
        post.sent.append(letter)
        return Receipt()

    @function_tool
    async def send(letter: str) -> Any:
        """Sends a letter."""
        receipt = await deliver(letter)
        await post.ends.here()
        return receipt

    answer, _ = resumed(tmp_path, post, send)
    assert post.sent == ["hello"]
    assert "send answered: receipt 7" in answer


def test_of_two_attempts_one_makes_the_call(tmp_path: Path, post: Post, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another attempt has written the intent after this one has read the journal."""

    @function_tool
    @once(reconcile=post.found)
    async def send(letter: str) -> str:
        """Sends a letter."""
        post.sent.append(letter)
        return "sent"

    add = Journal.add_row

    async def too_late(journal: Journal, key: str, row: dict[str, Any]) -> dict[str, Any]:
        if key.startswith("once/"):
            await add(journal, key, {**row, "attempt": 0})
        return await add(journal, key, row)

    monkeypatch.setattr(Journal, "add_row", too_late)
    answer, kinds = resumed(tmp_path, post, send, attempts=1)
    assert (post.sent, post.looked, kinds.count("once")) == ([], ["hello"], 1)
    assert "send answered: found hello" in answer


def test_elsewhere_the_function_is_just_called(post: Post) -> None:
    @once
    async def send(letter: str) -> str:
        """Sends a letter."""
        return await post.lost(letter)

    @once
    def shout(context: RunContextWrapper[Any], letter: str, loudly: bool = True) -> str:
        """Shouts."""
        return letter.upper() if loudly else letter

    post.ends.times = 0
    context: Any = None
    assert asyncio.run(send("hello")) == "number 1"
    assert shout(context, "hello") == "HELLO"
    tool = function_tool(shout)
    assert tool.description == "Shouts."
    assert set(tool.params_json_schema["properties"]) == {"letter", "loudly"}
    assert inspect.iscoroutinefunction(send)
    shown = stage.play(lambda: single(tools=[function_tool(send)]))  # it is not stored
    assert "send answered: number 2" in shown.words[0]


def test_a_synchronous_function_does_not_block_the_loop(tmp_path: Path, post: Post) -> None:
    @once
    def deliver(letter: str) -> str:
        post.sent.append(letter)
        return "sent"

    @function_tool
    async def send(letter: str) -> str:
        """Sends a letter."""
        return deliver(letter)

    answer, _ = resumed(tmp_path, post, send, attempts=1)
    assert post.sent == []
    assert "deliver is synchronous" in answer


def test_the_order_of_the_decorators_is_checked(post: Post) -> None:
    with pytest.raises(TypeError, match="below @function_tool"):
        once(function_tool(post.found))


class Desk:
    """A stored run whose first attempt ends while a letter is sent, and what a person is asked then."""

    def __init__(self, folder: Path, post: Post, **options: Any) -> None:
        @function_tool
        @once(**options)
        async def send(letter: str) -> str:
            """Sends a letter."""
            return await post.lost(letter)

        store = open_store(f"sqlite:///{folder}/agency.db")
        self.post, self.run = post, StoredRun(lambda: single(tools=[send]), store, input="hello")

    async def asked(self) -> ApprovalRequest:
        """Return what a person is asked."""
        attempt = asyncio.ensure_future(self.run.attempt())
        await asyncio.wait_for(self.post.ends.reached.wait(), 10)
        self.post.ends.reached.clear()
        attempt.cancel()
        await asyncio.wait({attempt})
        (request,) = (await self.run.attempt()).asked
        return request

    @property
    def answer(self) -> str:
        return str(self.run.output[-1]["content"][0]["text"])


@awaited
async def test_a_person_is_asked_whether_to_make_a_call_again(tmp_path: Path) -> None:
    desk = Desk(tmp_path, Post())
    request = await desk.asked()
    assert (request.agent, request.name, request.kind, request.schema) == ("Solo", "send", "repeat", None)
    assert json.loads(request.arguments) == {"letter": "hello"}
    assert (await desk.run.attempt()).asked == (request,)
    assert len(desk.post.sent) == 1
    await desk.run.decide(request)
    assert (await desk.run.attempt()).asked == ()
    assert desk.post.sent == ["hello", "hello"]
    assert "send answered: number 2" in desk.answer


@awaited
async def test_who_refuses_has_the_model_told_that_the_outcome_is_unknown(tmp_path: Path) -> None:
    desk = Desk(tmp_path, Post())
    await desk.run.decide(await desk.asked(), Decision(approve=False, reason="I look for it."))
    assert (await desk.run.attempt()).asked == ()
    assert desk.post.sent == ["hello"]
    assert "send answered: It is unknown whether send was carried out" in desk.answer
    assert "Do not call it again. I look for it." in desk.answer


@awaited
async def test_an_approval_is_for_one_more_call(tmp_path: Path) -> None:
    post = Post()
    post.ends.times = 2
    desk = Desk(tmp_path, post)
    first = await desk.asked()
    await desk.run.decide(first)
    second = await desk.asked()
    assert second.key != first.key
    assert len(post.sent) == 2
    await desk.run.decide(second)
    assert (await desk.run.attempt()).asked == ()
    assert len(post.sent) == 3


@awaited
async def test_a_reconcile_that_fails_leaves_it_to_a_person(tmp_path: Path) -> None:
    def fails(letter: str) -> str:
        raise ConnectionError("the post office is closed")

    desk = Desk(tmp_path, Post(), reconcile=fails)
    assert (await desk.asked()).kind == "repeat"
    assert len(desk.post.sent) == 1


@awaited
async def test_a_thread_that_waits_for_a_person_ends_with_its_attempt(tmp_path: Path) -> None:
    post, threads = Post(), list[threading.Thread]()

    @function_tool
    @once
    def send(letter: str) -> str:
        """Sends a letter."""
        threads.append(threading.current_thread())
        post.sent.append(letter)
        asyncio.run_coroutine_threadsafe(post.ends.here(), loop).result(10)
        return "sent"

    loop = asyncio.get_running_loop()
    desk = Desk(tmp_path, post)
    run = desk.run
    run.create_agency = lambda: single(tools=[send])
    request = await desk.asked()
    await run.decide(request, Decision(approve=False))
    assert (await run.attempt()).asked == ()
    assert post.sent == ["hello"]


@awaited
async def test_what_is_made_beside_a_call_that_waits_is_made_to_its_end(tmp_path: Path) -> None:
    """In one tool: the call that waits does not end the attempt under the other one."""
    post, slow = Post(), list[str]()

    @once
    async def slowly(letter: str) -> str:
        slow.append("begun")
        await asyncio.sleep(0.5)
        slow.append("made")
        return "slowly"

    sends = once(post.lost)

    @function_tool
    async def send(letter: str) -> list[str]:
        """Sends two letters."""
        if not post.sent:
            return [await sends(letter)]
        return [*await asyncio.gather(sends(letter), slowly(letter))]

    desk = Desk(tmp_path, post)
    desk.run.create_agency = lambda: single(tools=[send])
    request = await desk.asked()
    assert slow == ["begun", "made"]
    await desk.run.decide(request)
    assert (await desk.run.attempt()).asked == ()
    assert slow == ["begun", "made"]
    assert "send answered: ['number 2', 'slowly']" in desk.answer
