"""Every model call of a run takes one way, whoever makes it: key, limits, usage, journal, and the offline model."""

import asyncio
import inspect
import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, cast

import pytest
from agency_swarm import Agency, input_guardrail
from agents import (
    AgentHooks,
    Model,
    ModelResponse,
    ModelSettings,
    Runner,
    Usage,
    set_default_openai_api,
    set_default_openai_client,
)
from agents.models import _openai_shared
from agents.models._openai_shared import get_default_openai_client
from agents.run_internal import run_loop, turn_preparation
from openai import AsyncOpenAI
from openai.types.responses import ResponseIncompleteEvent

from agency_lambda import catalogue
from agency_lambda.framework.models import resolution
from agency_lambda.framework.models.events import response
from agency_lambda.settings import Settings, get_settings
from agency_lambda.testing.vault import Vault, secrets_manager
from lambda_loop import EnvironmentLoop
from tests.library.conftest import Service
from tests.library.model_server import Failure, ModelRequest, ModelServer, scripts
from tests.library.models import callers
from tests.library.models.callers import WORDS
from tests.library.runs.stage import Told, begin, on_stage, play, told

LIVE = pytest.mark.parametrize("stream", [True, False])
BOSS = "offline model: Boss says so."  # as a text that the offline scripts leave alone
EVERYBODY = (*callers.SDK, *callers.OWN, *callers.CLIENTS)


def names(makers: Any) -> Any:
    return pytest.mark.parametrize("make", makers, ids=lambda make: make.__name__)


@pytest.fixture(autouse=True)
def own_environment(clean_environment: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    return clean_environment


@pytest.fixture(autouse=True)
def environment_loop() -> Iterator[None]:
    """As where it is deployed: what carries a run into the user's own pools belongs to the loop."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        """It has neither routes nor a lifespan."""

    environment = EnvironmentLoop(app)
    yield
    environment.close()


@pytest.fixture(scope="module")
def manager() -> Iterator[Vault]:
    with secrets_manager() as made:
        yield made


def boss(turn: Any) -> Any:
    """Asks the other one if there is a way to."""
    if turn.calls or not turn.tools:
        return BOSS
    (tool,) = turn.tools
    if tool == "send_message":
        return [(tool, {"recipient_agent": "Other", "message": "a question", "additional_instructions": ""})]
    return [(tool, {"input": "a question"} if "input" in turn.tools[tool].get("properties", {}) else {})]


def answers() -> Callable[[ModelRequest], Any]:
    return scripts({"Boss": boss, "Other": lambda turn: WORDS})


def configured(environment: pytest.MonkeyPatch, **variables: str) -> Settings:
    for name, value in variables.items():
        environment.setenv(name, value)
    get_settings.cache_clear()
    return get_settings()


def of(server: ModelServer, agent: str) -> list[ModelRequest]:
    return [request for request in server.requests if f"You are {agent}" in request.instructions]


def check_answer(told: Told) -> None:
    assert told.response["status"] == "completed", told.response
    assert told.words == [BOSS]
    assert WORDS not in told


@LIVE
@names(EVERYBODY)
def test_key_of_the_environment_is_used(
    make: Callable[[], Agency], stream: bool, own_environment: pytest.MonkeyPatch
) -> None:
    with ModelServer(answers()) as server:
        service = configured(own_environment, OPENAI_API_KEY="sk-env", OPENAI_BASE_URL=server.base_url)
        told = play(make, service, stream=stream)
        check(told, server, make, "sk-env")


@LIVE
@names(EVERYBODY)
def test_key_of_a_secret_is_used(
    make: Callable[[], Agency], stream: bool, own_environment: pytest.MonkeyPatch, manager: Vault
) -> None:
    for name, value in manager.environment.items():
        own_environment.setenv(name, value)
    secret = manager.create("sk-secret")
    with ModelServer(answers()) as server:
        service = configured(own_environment, OPENAI_API_KEY_SECRET=secret, OPENAI_BASE_URL=server.base_url)
        told = play(make, service, stream=stream)
        check(told, server, make, "sk-secret")


def check(told: Told, server: ModelServer, make: Any, key: str) -> None:
    check_answer(told)
    assert of(server, "Other")
    assert {request.headers["authorization"] for request in server.requests} == {f"Bearer {key}"}
    counted = [*of(server, "Boss"), *(of(server, "Other") if make not in callers.CLIENTS else [])]
    assert told.response["usage"]["model_calls"] == len(counted)
    if make not in callers.CLIENTS:
        usage = told.response["usage"]
        assert (usage["input_tokens"], usage["output_tokens"]) == server.tokens


@LIVE
@names(callers.SDK)
def test_offline_model_answers_everybody_where_there_is_no_key(make: Callable[[], Agency], stream: bool) -> None:
    told = play(make, Settings(), stream=stream)
    assert told.response["status"] == "completed"
    assert told.response["usage"]["model_calls"] > 1
    assert all(words.startswith("[offline model] Boss") for words in told.words)
    assert len(told.words) == 1


@LIVE
@names([*callers.OWN, *callers.CLIENTS])
def test_clients_of_their_own_name_the_setting_where_there_is_no_key(
    make: Callable[[], Agency], stream: bool, caplog: pytest.LogCaptureFixture
) -> None:
    told = play(make, Settings(), stream=stream)
    assert told.response["status"] == "completed"
    assert "OPENAI_API_KEY is not set" in caplog.text + str(told)


@names(callers.SDK)
def test_limit_holds_for_everybody(make: Callable[[], Agency], own_environment: pytest.MonkeyPatch) -> None:
    with ModelServer(answers()) as server:
        service = configured(
            own_environment, OPENAI_API_KEY="sk-env", OPENAI_BASE_URL=server.base_url, MAX_MODEL_CALLS="1"
        )
        told = play(make, service, stream=False)
        assert len(server.requests) <= 1  # a judge beside the agent may end it before it asks
    assert (told.response["status"], told.response["usage"]["model_calls"]) != ("completed", 2)


@LIVE
def test_agent_that_takes_over_speaks_with_the_user(stream: bool, own_environment: pytest.MonkeyPatch) -> None:
    def hand_over(turn: Any) -> Any:
        return [("transfer_to_other", {})]

    with ModelServer(scripts({"Boss": hand_over, "Other": lambda turn: WORDS})) as server:
        service = configured(own_environment, OPENAI_API_KEY="sk-env", OPENAI_BASE_URL=server.base_url)
        told = play(callers.handoff_to_a_stranger, service, stream=stream)
    assert told.words == [WORDS]


@LIVE
@names([callers.judge_of_input, callers.hook, callers.instructions])
def test_judge_that_is_cut_off_does_not_cut_the_run(
    make: Callable[[], Agency], stream: bool, own_environment: pytest.MonkeyPatch
) -> None:
    with ModelServer(answers()) as server:
        service = configured(own_environment, OPENAI_API_KEY="sk-env", OPENAI_BASE_URL=server.base_url)
        own_environment.setattr(callers, "other", _of_few_words(callers.other))
        told = play(make, service, stream=stream)
    assert told.response["status"] == "completed"
    assert told.words == [BOSS]


def _of_few_words(made: Any) -> Any:
    return lambda **more: made(model_settings=ModelSettings(max_tokens=2), **more)


class Silent(Model):
    """Is cut off before it has said anything."""

    async def get_response(self, *args: Any, **kwargs: Any) -> ModelResponse:
        usage = Usage(requests=1, input_tokens=1, output_tokens=9, total_tokens=10)
        return ModelResponse(output=[], usage=usage, response_id=None)

    async def stream_response(self, *args: Any, **kwargs: Any) -> AsyncIterator[Any]:
        ended = response("silent", [], 4, 36).model_copy(update={"status": "incomplete"})
        yield ResponseIncompleteEvent(type="response.incomplete", response=ended, sequence_number=0)


@LIVE
def test_judge_that_is_cut_off_at_once_is_a_failure_and_no_incomplete_answer(stream: bool) -> None:
    @input_guardrail(run_in_parallel=False)
    async def judged(context: Any, agent: Any, message: Any) -> Any:
        await Runner.run(callers.other(model=Silent(), model_settings=ModelSettings(max_tokens=9)), message)
        return callers.PASSED

    told = play(lambda: callers.boss(input_guardrails=[judged]), Settings(), stream=stream)
    assert told.response["status"] == "failed"


def test_sdk_looks_its_models_up_as_it_did_when_this_was_written() -> None:
    assert run_loop.get_model is turn_preparation.get_model
    assert run_loop.get_model.__module__ == resolution.__name__
    assert inspect.getsource(run_loop).count("model = get_model(execution_agent, run_config)") == 2


def test_call_outside_of_any_run_has_the_key_and_is_nobodys(own_environment: pytest.MonkeyPatch) -> None:
    from agency_lambda.framework.models import Models

    async def asked(models: Models) -> Any:
        result = (await Runner.run(callers.other(), "a question")).final_output
        await models.aclose()
        return result

    with ModelServer(answers()) as server:
        service = configured(own_environment, OPENAI_API_KEY="sk-env", OPENAI_BASE_URL=server.base_url)
        assert asyncio.run(asked(Models(service))) == WORDS
    own_environment.delenv("OPENAI_API_KEY")
    own_environment.delenv("OPENAI_BASE_URL")
    assert "[offline model]" in asyncio.run(asked(Models(Settings())))


def two_judges(heard: list[str], late: list[str]) -> Agency:
    """Two of one name check the same words beside the agent, each by instructions of its own. late: who asks last."""
    last = late.pop(0)

    def judge(subject: str) -> Any:
        async def judged(context: Any, agent: Any, message: Any) -> Any:
            await asyncio.sleep(0.1 * (subject == last))
            made = callers.other(name="Judge", instructions=f"You are Other. Judge the {subject}.")
            heard.append(f"{subject}: {(await Runner.run(made, message)).final_output}")
            return callers.PASSED

        return input_guardrail(judged, name=subject)

    class Streams(AgentHooks[Any]):
        async def on_start(self, context: Any, agent: Any) -> None:
            streamed = Runner.run_streamed(callers.other(), "a question")
            async for _ in streamed.stream_events():
                pass
            assert streamed.final_output == WORDS

    return callers.boss(hooks=Streams(), input_guardrails=[judge("tone"), judge("topic")])


@pytest.mark.parametrize("late", [["tone", "topic"], ["topic", "tone"]])
def test_run_that_is_taken_up_again_asks_nobody_twice(
    late: list[str], start: Callable[..., Service], monkeypatch: pytest.MonkeyPatch
) -> None:
    """late: who asks last, by attempt."""
    monkeypatch.setattr("agency_lambda.runs.outcome.BACKOFF", 0.01)
    heard: list[str] = []
    monkeypatch.setattr(catalogue, "factories", lambda: {"desk": lambda: two_judges(heard, late)})
    failures = iter([Failure(503)])
    plain = answers()

    def answer(request: ModelRequest) -> Any:
        for subject in ("tone", "topic"):
            if f"Judge the {subject}" in request.instructions:
                return f"offline model: verdict on the {subject}"
        if "You are Boss" in request.instructions:
            time.sleep(0.5)  # the judges have answered by then
            return next(failures, None) or plain(request)
        return plain(request)

    with ModelServer(answer) as server:
        service = start(OPENAI_API_KEY="sk-test", OPENAI_BASE_URL=server.base_url)
        ended = service.in_attempts(2, "Order paper")
        asked = [(request.instructions, len(request.items)) for request in server.requests]
    assert ended["status"] == "completed"
    assert len(asked) == 5
    assert len({*asked}) == 4  # nothing but what had no answer
    right = [f"{subject}: offline model: verdict on the {subject}" for subject in ("tone", "topic")]
    assert sorted(heard) == sorted([*right, *right])


@pytest.mark.parametrize("api", ["responses", "chat_completions"])
@pytest.mark.parametrize("offline", [True, False])
def test_default_client_of_the_agencys_own_is_asked(
    offline: bool, api: Any, own_environment: pytest.MonkeyPatch
) -> None:
    """As the SDK's documents tell for Azure and others: `set_default_openai_client`, `set_default_openai_api`."""
    own_environment.setattr(_openai_shared, "_default_openai_client", None)
    own_environment.setattr(_openai_shared, "_use_responses_by_default", True)
    with ModelServer(answers()) as server, ModelServer() as ours:

        def create_agency() -> Agency:
            set_default_openai_client(AsyncOpenAI(api_key="theirs", base_url=server.base_url), use_for_tracing=False)
            set_default_openai_api(api)
            return callers.runner()

        async def whole(service: Settings) -> Told:
            async with on_stage(create_agency, service) as runs:
                shown = await told(await begin(runs))
            await cast(Any, get_default_openai_client()).close()
            return shown

        variables = {} if offline else {"OPENAI_API_KEY": "sk-env", "OPENAI_BASE_URL": ours.base_url}
        shown = asyncio.run(whole(configured(own_environment, **variables)))
        assert ours.requests == []
        assert {request.headers["authorization"] for request in server.requests} == {"Bearer theirs"}
        assert {request.chat for request in server.requests} == {api == "chat_completions"}
    check_answer(shown)
    assert shown.response["usage"]["model_calls"] == 3


def test_default_client_without_a_key_is_offline(own_environment: pytest.MonkeyPatch) -> None:
    own_environment.setattr(_openai_shared, "_default_openai_client", None)

    def create_agency() -> Agency:
        set_default_openai_client(AsyncOpenAI(), use_for_tracing=False)
        return callers.runner()

    shown = play(create_agency, Settings())
    assert shown.words[0].startswith("[offline model] Boss")


def test_what_a_finished_tool_had_asked_is_counted_after_an_interruption(
    start: Callable[..., Service], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The tool is not called again, so nobody asks for those answers in the second attempt."""
    monkeypatch.setattr("agency_lambda.runs.outcome.BACKOFF", 0.01)
    monkeypatch.setattr(catalogue, "factories", lambda: {"desk": callers.runner})
    plain, failures = answers(), iter([Failure(503)])

    def answer(request: ModelRequest) -> Any:
        knows = any(item.get("type") == "function_call_output" for item in request.items)
        return (next(failures, None) if knows else None) or plain(request)

    with ModelServer(answer) as server:
        service = start(OPENAI_API_KEY="sk-test", OPENAI_BASE_URL=server.base_url)
        ended = service.in_attempts(2, "Order paper")
        assert len(of(server, "Other")) == 1
        assert ended["status"] == "completed"
        assert ended["usage"]["model_calls"] == 3
        assert (ended["usage"]["input_tokens"], ended["usage"]["output_tokens"]) == server.tokens
