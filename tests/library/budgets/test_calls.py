"""What budgets do to the model calls of a run that has begun."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from agency_swarm import Agency, Agent, function_tool
from agents import AgentHooks, Model, ModelResponse, ModelSettings, Usage, WebSearchTool

from agency_lambda import catalogue, telemetry
from agency_lambda.budgets import Limits
from agency_lambda.catalogue.entries import Entry
from agency_lambda.errors import BudgetExceeded, ServiceError, StoreUnavailable, UnboundedCost
from agency_lambda.framework.models import selection
from agency_lambda.framework.models.events import message_item
from agency_lambda.protocol.request import CompactRequest, CreateResponse
from agency_lambda.runs import worker
from agency_lambda.runs.service import RunService
from tests.library.model_server import Failure, ModelServer, call
from tests.library.models.agencies import settings
from tests.library.runs.stage import begin, on_stage, told

OWNER, FOUND = "owner", "found " * 2000


@pytest.fixture(autouse=True)
def no_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(selection, "_RETRIES", 0)


def agency(**more: Any) -> Agency:
    @function_tool
    async def look_up() -> str:
        """Looks something up."""
        return FOUND

    return Agency(Agent(**{"name": "One", "instructions": "One", "model": "gpt-5-nano", "tools": [look_up], **more}))


def limited(**more: Any) -> Callable[[], Agency]:
    return lambda: agency(model_settings=ModelSettings(max_tokens=500), **more)


async def day(runs: RunService) -> tuple[int, int]:
    """Tokens that are spent and reserved."""
    budget = (await runs.budgets.describe(OWNER))["day"]
    return budget["spent"]["tokens"], budget["reserved"]["tokens"]


def play[T](test: Callable[[RunService], Any], answers: Any, folder: Path, create: Any = None, **limits: int) -> Any:
    """Run a test with a service, an owner with these limits, and a provider with these answers."""

    async def whole(url: str) -> Any:
        async with on_stage(create or limited(), settings(url, store=f"sqlite:///{folder}/agency.db")) as runs:
            await runs.budgets.set_limits(OWNER, Limits(**limits))
            return await test(runs)

    with ModelServer(answers) as server:
        result = asyncio.run(asyncio.wait_for(whole(server.base_url), 60))
        return result, server


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("store", [False, True])
def test_what_the_server_counted_is_spent(tmp_path: Path, stream: bool, store: bool) -> None:
    async def test(runs: RunService) -> Any:
        ended = await told(await begin(runs, stream=stream, store=store))
        assert ended.response["status"] == "completed"
        return await day(runs)

    found, server = play(test, [call("look_up"), "Done."], tmp_path, tokens_per_day=30_000)
    assert found == (sum(server.tokens), 0)
    assert [request.body["max_output_tokens"] for request in server.requests] == [500, 500]


def test_a_call_without_a_limit_gets_one(tmp_path: Path) -> None:
    async def test(runs: RunService) -> Any:
        await told(await begin(runs))

    _, server = play(test, ["Done."], tmp_path, agency, tokens_per_day=100_000)
    assert server.requests[0].body["max_output_tokens"] == 16_384
    _, server = play(test, ["Done."], tmp_path, agency, runs_at_once=5)
    assert "max_output_tokens" not in server.requests[0].body


@pytest.mark.parametrize("stream", [False, True])
def test_a_run_ends_incomplete_where_the_next_call_does_not_fit(tmp_path: Path, stream: bool) -> None:
    async def test(runs: RunService) -> Any:
        first = (await told(await begin(runs, stream=stream, store=True))).response
        before = await day(runs)
        with pytest.raises(BudgetExceeded):
            await begin(runs, store=True, previous_response_id=first["id"], input="Go on")
        await runs.budgets.set_limits(OWNER, Limits(tokens_per_day=20_000))
        last = await told(await begin(runs, store=True, previous_response_id=first["id"], input="Go on"))
        return first, before, last

    (first, before, last), server = play(test, [call("look_up"), "Done."], tmp_path, tokens_per_day=4_500)
    assert first["status"] == "incomplete"
    assert first["incomplete_details"] == {"reason": "max_output_tokens", "detail": "budget_exceeded"}
    assert first["usage"]["model_calls"] == 1
    assert before == (first["usage"]["total_tokens"], 0)
    assert last.response["status"] == "completed"
    outputs = [item["output"] for item in server.requests[-1].items if item.get("type") == "function_call_output"]
    assert outputs == [FOUND]


def test_a_call_without_an_answer_stays_reserved_and_a_replayed_one_reserves_nothing(tmp_path: Path) -> None:
    async def test(runs: RunService) -> Any:
        asked = {"model": "desk", "input": "Order paper", "background": True}
        stored = await runs.create(CreateResponse.model_validate(asked), OWNER)
        run_id = stored.response["id"]
        _, advance = await day(runs)
        await worker.work(runs, run_id)  # its second call fails, and another attempt will ask it
        between = await day(runs)
        await worker.work(runs, run_id)
        return advance, between, await day(runs)

    answers = [call("look_up"), Failure(0), "Done."]
    (advance, between, after), server = play(test, answers, tmp_path, tokens_per_day=50_000)
    assert len(server.requests) == 3
    assert advance > 0
    assert between[1] > 500
    assert after == (sum(server.tokens), between[1])


@pytest.mark.parametrize("fields", [{"store": True}, {"store": False}, {"stream": False}])
@pytest.mark.parametrize("failure", [Failure(401), Failure(503)])
def test_a_call_that_an_error_answered_reserves_nothing(tmp_path: Path, fields: Any, failure: Failure) -> None:
    async def test(runs: RunService) -> Any:
        with suppress(ServiceError):
            await told(await begin(runs, **fields))
        return await day(runs)

    found, server = play(test, [call("look_up"), failure], tmp_path, tokens_per_day=30_000)
    assert len(server.requests) == 2
    assert found == (sum(server.tokens), 0)


@pytest.mark.parametrize("before", [{}, {"tokens_per_day": 10**9}])
@pytest.mark.parametrize("store", [True, False])
def test_limits_reach_a_run_that_goes_on(tmp_path: Path, store: bool, before: Any) -> None:
    stage: list[RunService] = []

    @function_tool
    async def stop() -> str:
        """Sets the budget to nothing."""
        await stage[0].budgets.set_limits(OWNER, Limits(tokens_per_day=0))
        return "stopped"

    async def test(runs: RunService) -> Any:
        stage.append(runs)
        return (await told(await begin(runs, store=store))).response, await day(runs)

    (response, (_, reserved)), server = play(test, [call("stop"), "Done."], tmp_path, limited(tools=[stop]), **before)
    assert (response["status"], len(server.requests), reserved) == ("incomplete", 1, 0)
    assert response["incomplete_details"]["detail"] == "budget_exceeded"


@pytest.mark.parametrize("limits", [{}, {"tokens_per_day": 30_000}])
def test_limits_that_cannot_be_read_stay_and_without_any_nothing_begins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limits: Any
) -> None:
    stage: list[RunService] = []

    async def broken(owner: str) -> Limits:
        raise StoreUnavailable("down")

    @function_tool
    async def break_off() -> str:
        """Makes the limits unreadable."""
        stage[0].budgets._limits.forget(OWNER)
        monkeypatch.setattr(stage[0].budgets, "_read", broken)
        return "broken"

    async def test(runs: RunService) -> Any:
        stage.append(runs)
        status = (await told(await begin(runs))).response["status"]
        with pytest.raises(StoreUnavailable):
            await runs.budgets.spending(OWNER)
        monkeypatch.undo()
        return status, await day(runs)

    answers = [call("break_off"), "Done."]
    (status, spent), server = play(test, answers, tmp_path, limited(tools=[break_off]), **limits)
    assert (status, len(server.requests)) == ("completed", 2)
    assert spent == ((sum(server.tokens), 0) if limits else (0, 0))


@pytest.mark.parametrize("stream", [True, False])
def test_limits_that_are_lifted_do_not_disturb_a_run(tmp_path: Path, stream: bool) -> None:
    stage: list[RunService] = []

    @function_tool
    async def lift() -> str:
        """Lifts the budget, when it is called again."""
        if len(stage) > 1:
            await stage[0].budgets.set_limits(OWNER, Limits())
        stage.append(stage[0])
        return "lifted"

    async def test(runs: RunService) -> Any:
        stage.append(runs)
        return (await told(await begin(runs, stream=stream))).response["status"]

    answers = [call("lift"), call("lift"), "Done."]
    status, server = play(test, answers, tmp_path, limited(tools=[lift]), tokens_per_day=30_000)
    assert (status, len(server.requests)) == ("completed", 3)


def test_a_process_that_dies_with_a_call_leaves_it_reserved(tmp_path: Path) -> None:
    asked = asyncio.Event()

    class Silent(Model):
        model = "gpt-5"

        async def get_response(self, *args: Any, **kwargs: Any) -> ModelResponse:
            asked.set()
            await asyncio.sleep(60)
            raise AssertionError

        def stream_response(self, *args: Any, **kwargs: Any) -> Any: ...

    async def test(runs: RunService) -> Any:
        attempt = await begin(runs, stream=False, store=True)
        task = asyncio.create_task(attempt.execute())
        await asked.wait()
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        return await day(runs)

    found, _ = play(test, [], tmp_path, limited(model=Silent()), tokens_per_day=10_000)
    assert found[0] == 0
    assert found[1] > 500


@pytest.mark.parametrize(
    ("failure", "limits", "asked"),
    [
        (Failure(0), {"tokens_per_day": 30_000}, 1),
        (Failure(503, headers={}), {"tokens_per_day": 30_000}, 2),
        (Failure(0), {}, 2),
    ],
)
def test_a_call_that_broke_off_is_not_repeated_unreserved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failure: Failure, limits: Any, asked: int
) -> None:
    monkeypatch.setattr(selection, "_RETRIES", 2)
    monkeypatch.setattr("openai._base_client.INITIAL_RETRY_DELAY", 0.01)

    async def test(runs: RunService) -> Any:
        response = (await told(await begin(runs, stream=False, store=True))).response
        return response["status"], (await day(runs))[1]

    (status, reserved), server = play(test, [failure, "Done."], tmp_path, **limits)
    assert len(server.requests) == asked
    assert status == ("failed" if asked == 1 else "completed")
    assert (reserved > 0) == (asked == 1)


class Greedy(Model):
    """Uses so many input tokens, whatever it is asked."""

    model = "gpt-5"

    def __init__(self, tokens: int) -> None:
        self.tokens = tokens

    async def get_response(self, *args: Any, **kwargs: Any) -> ModelResponse:
        usage = Usage(
            requests=1, input_tokens=self.tokens, output_tokens=1, total_tokens=self.tokens and self.tokens + 1
        )
        return ModelResponse(output=[message_item("Done.")], usage=usage, response_id=None)

    def stream_response(self, *args: Any, **kwargs: Any) -> Any: ...


def test_a_call_that_used_more_than_reserved_closes_the_budget(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    logged: list[str] = []
    monkeypatch.setattr(telemetry, "log_budget", lambda metric, **fields: logged.append(metric))

    async def test(runs: RunService) -> Any:
        await told(await begin(runs, stream=False, store=True))
        budget = await runs.budgets.describe(OWNER)
        with pytest.raises(BudgetExceeded, match="closed"):
            await begin(runs, stream=False)
        await runs.budgets.set_limits(OWNER, Limits(tokens_per_day=200_000))
        again = await told(await begin(runs, stream=False))
        return budget, again

    (budget, again), _ = play(test, [], tmp_path, limited(model=Greedy(50_000)), tokens_per_day=200_000)
    assert budget["day"]["spent"]["tokens"] == 50_001
    assert budget["day"]["closed"] is budget["month"]["closed"] is True
    assert again.response["status"] == "completed"
    assert "BudgetOverruns" in logged


def test_usage_that_is_not_reported_counts_as_reserved(tmp_path: Path) -> None:
    async def test(runs: RunService) -> Any:
        await told(await begin(runs, stream=False, store=True))
        return await day(runs)

    (spent, reserved), _ = play(test, [], tmp_path, limited(model=Greedy(0)), tokens_per_day=50_000)
    assert spent > 500
    assert reserved == 0


IMAGE = {"type": "input_image", "image_url": "data:image/png;base64,iVBORw0KGgo="}
PDF = {"type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBERi0="}


def with_part(part: Any) -> Any:
    return [{"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Look"}, part]}]


@pytest.mark.parametrize(
    ("create", "input", "limits", "kind"),
    [
        (limited(tools=[WebSearchTool()]), "hi", {"tokens_per_day": 10**9}, "web_search"),
        (limited(), with_part(PDF), {"tokens_per_day": 10**9}, "file"),
        (limited(model="mystery"), "hi", {"usd_per_day": 10**9}, "mystery"),
        (lambda: agency(model_settings=ModelSettings(extra_body={"n": 5})), "hi", {"tokens_per_day": 10**9}, "'n'"),
    ],
)
def test_what_has_no_bound_is_refused(tmp_path: Path, create: Any, input: Any, limits: Any, kind: str) -> None:
    async def test(runs: RunService) -> Any:
        with pytest.raises(UnboundedCost, match=kind):
            await begin(runs, input=input)
        await runs.budgets.set_limits(OWNER, Limits())
        await told(await begin(runs, input=input))

    _, server = play(test, ["Done."], tmp_path, create, **limits)
    assert len(server.requests) == 1


def test_a_model_without_a_price_may_have_a_budget_in_tokens(tmp_path: Path) -> None:
    async def test(runs: RunService) -> Any:
        return await told(await begin(runs))

    ended, _ = play(test, ["Done."], tmp_path, limited(model="mystery"), tokens_per_day=10_000)
    assert ended.response["status"] == "completed"


def test_an_image_is_reserved_as_prices_toml_says(tmp_path: Path) -> None:
    async def test(runs: RunService) -> Any:
        with pytest.raises(BudgetExceeded):
            await begin(runs, input=with_part(IMAGE))
        await runs.budgets.set_limits(OWNER, Limits(tokens_per_day=60_000))
        return await told(await begin(runs, input=with_part(IMAGE)))

    ended, _ = play(test, ["Done."], tmp_path, tokens_per_day=50_000)
    assert ended.response["status"] == "completed"


def test_a_colleague_without_a_bound_ends_the_run(tmp_path: Path) -> None:
    def create() -> Agency:
        one = Agent(name="One", instructions="One", model="gpt-5-nano")
        two = Agent(name="Two", instructions="Two", model="gpt-5-nano", tools=[WebSearchTool()])
        return Agency(one, communication_flows=[one > two])

    async def test(runs: RunService) -> Any:
        return (await told(await begin(runs))).response

    ask = call("send_message", recipient_agent="Two", message="hi", additional_instructions="")
    response, server = play(test, [ask, "Done."], tmp_path, create, tokens_per_day=10**9)
    assert (response["status"], response["error"]["detail_code"]) == ("failed", "unbounded_cost")
    assert len(server.requests) == 1


@pytest.mark.parametrize("limit", [{"max_usd": 0.0006}, {"max_tokens": 4_500}])
def test_a_run_has_a_budget_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: Any) -> None:
    def entry(model: str) -> Any:
        return "desk", Entry(create_agency=limited(), **limit)

    monkeypatch.setattr(catalogue, "find_entry", entry)

    async def test(runs: RunService) -> Any:
        responses = [(await told(await begin(runs, store=True))).response for _ in range(2)]
        return responses, await day(runs)

    (responses, spent), server = play(test, [call("look_up"), call("look_up")] * 2, tmp_path)
    assert [response["incomplete_details"]["detail"] for response in responses] == ["budget_exceeded"] * 2
    assert spent == (0, 0)  # the owner has no budget
    assert len(server.requests) >= 2


def test_a_compaction_is_paid_from_the_budget(tmp_path: Path) -> None:
    request = CompactRequest(model="desk", input=[{"role": "user", "content": "hi " * 100}] * 9)

    async def test(runs: RunService) -> Any:
        with pytest.raises(BudgetExceeded):
            await runs.compact(request, OWNER)
        await runs.budgets.set_limits(OWNER, Limits(tokens_per_day=100_000))
        await runs.compact(request, OWNER)
        return await day(runs)

    found, server = play(test, ["A summary."], tmp_path, tokens_per_day=1000)
    assert found == (sum(server.tokens), 0)


def test_a_compaction_that_an_error_answered_reserves_nothing(tmp_path: Path) -> None:
    request = CompactRequest(model="desk", input=[{"role": "user", "content": "hi " * 100}] * 9)

    async def test(runs: RunService) -> Any:
        with pytest.raises(ServiceError):
            await runs.compact(request, OWNER)
        return await day(runs)

    found, server = play(test, [Failure(401)], tmp_path, tokens_per_day=100_000)
    assert (found, len(server.requests)) == ((0, 0), 1)


@pytest.mark.parametrize("fields", [{"store": True}, {"store": False}])
def test_a_run_that_made_no_call_gives_back_what_was_reserved(tmp_path: Path, fields: Any) -> None:
    class Broken(AgentHooks[Any]):
        async def on_start(self, *args: Any) -> None:
            raise RuntimeError("broken")

    async def test(runs: RunService) -> Any:
        attempt, before = await begin(runs, stream=False, **fields), await day(runs)
        with pytest.raises(ServiceError):
            await runs.execute(attempt)
        return before, await day(runs)

    (before, after), server = play(test, [], tmp_path, limited(hooks=Broken()), tokens_per_day=10_000)
    assert before[1] > 500
    assert (after, server.requests) == ((0, 0), [])
