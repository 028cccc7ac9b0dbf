"""Models against a server on loopback: names, APIs, the key, the connections."""

import threading

import agents
import pytest
from agency_swarm import Agency, Agent
from agency_swarm.agent.constants import FRAMEWORK_DEFAULT_MODEL
from agents import ModelSettings, OpenAIChatCompletionsModel, OpenAIResponsesModel
from agents.exceptions import UserError
from openai.types.shared import Reasoning

from agency_lambda.framework.models import Models
from tests.library.model_server import Failure, ModelServer, scripts
from tests.library.models.agencies import (
    Listener,
    ask,
    ask_streamed,
    attach,
    closing,
    model_of,
    office,
    settings,
    single,
)
from tests.library.models.test_offline_script import ANSWER, SCRIPT

APIS = {"responses": "/v1/responses", "chat": "/v1/chat/completions"}


@pytest.mark.parametrize("api", APIS)
def test_tools_and_colleagues_work_through_either_api(api):
    with ModelServer(scripts(SCRIPT)) as server:
        models = Models(settings(server.base_url, model_api=api))
        assert ask(models, office())[0] == ANSWER
        assert ask_streamed(models, office())[0] == ANSWER
        assert {request.path for request in server.requests} == {APIS[api]}
        assert [bool(request.body.get("stream")) for request in server.requests] == [False] * 8 + [True] * 8


@pytest.mark.parametrize("api", APIS)
def test_a_streamed_chat_asks_for_its_usage(api):
    with ModelServer() as server:
        ask_streamed(Models(settings(server.base_url, model_api=api)), single())
        wanted = {"include_usage": True} if api == "chat" else None
        assert server.requests[0].body.get("stream_options") == wanted


@pytest.mark.parametrize(
    ("base", "declared", "sent"),
    [
        (True, None, FRAMEWORK_DEFAULT_MODEL),
        (True, "gpt-4.1", "gpt-4.1"),
        (True, "meta-llama/Llama-4", "meta-llama/Llama-4"),
        (True, "openai/gpt-oss-120b", "openai/gpt-oss-120b"),
        (False, "openai/gpt-4.1", "gpt-4.1"),
    ],
)
def test_a_name_is_sent_as_the_agent_wrote_it(base, declared, sent):
    models = Models(settings("http://127.0.0.1:9/v1" if base else None))
    agency = single(**({"model": declared} if declared else {}))
    attach(models, agency, Listener())
    assert model_of(agency).model == sent
    closing(models, _nothing)


def test_an_unknown_provider_prefix_is_refused_at_openai():
    with pytest.raises(UserError, match="Unknown prefix: nobody"):
        attach(Models(settings()), single(model="nobody/model"), Listener())


@pytest.mark.parametrize(("api", "kind"), [("responses", OpenAIResponsesModel), ("chat", OpenAIChatCompletionsModel)])
def test_the_setting_stands_in_only_where_no_model_is_named(api, kind):
    models = Models(settings("http://127.0.0.1:9/v1", model="qwen3", model_api=api))
    agency = office()
    agency.agents["Writer"].model = "gpt-4.1"
    attach(models, agency, Listener())
    found = {name: model_of(agency, name) for name in agency.agents}
    assert {name: model.model for name, model in found.items()} == {
        "Manager": "qwen3",
        "Planner": "qwen3",
        "Writer": "gpt-4.1",
    }
    assert all(isinstance(model, kind) for model in found.values())
    closing(models, _nothing)


def test_another_model_is_not_asked_for_the_default_models_reasoning():
    with ModelServer() as server:
        models = Models(settings(server.base_url, model="qwen3"))
        ask(models, single())
        kept = ModelSettings(reasoning=Reasoning(effort="high"), temperature=0.1)
        ask(models, single(model_settings=kept))
        inherited, own = (request.body for request in server.requests)
    assert inherited["model"] == own["model"] == "qwen3"
    assert not {"reasoning", "text"} & set(inherited)
    assert inherited["truncation"] == "auto"
    assert own["reasoning"]["effort"] == "high"
    assert own["temperature"] == 0.1


def test_the_key_goes_to_the_configured_server_and_nowhere_else(monkeypatch):
    with ModelServer(scripts(SCRIPT)) as server, ModelServer() as other:
        monkeypatch.setenv("OPENAI_API_KEY", "sk-of-the-environment")
        monkeypatch.setenv("OPENAI_BASE_URL", other.base_url)
        ask(Models(settings(server.base_url, key="sk-configured")), office())
        assert {request.headers["authorization"] for request in server.requests} == {"Bearer sk-configured"}
        assert other.connections == 0


def test_without_a_base_url_the_key_is_for_openai_whatever_the_environment_says(monkeypatch):
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/v1")
    models = Models(settings())
    assert str(models.client.base_url) == "https://api.openai.com/v1/"
    closing(models, _nothing)


def test_a_redirect_does_not_take_the_key_along():
    with ModelServer(lambda request: "elsewhere") as other:
        moved = Failure(307, headers={"location": f"{other.base_url}/responses"})
        with ModelServer(lambda request: moved) as server:
            ask(Models(settings(server.base_url)), single())
        assert [request.headers.get("authorization") for request in other.requests] == [None]


def test_one_client_keeps_one_connection_over_many_runs():
    with ModelServer(scripts(SCRIPT)) as server:
        models = Models(settings(server.base_url))

        async def runs():
            for number in range(3):
                for live in (False, True):
                    agency = office()
                    attach(models, agency, Listener(live))
                    await agency.get_response(f"Order {number}")

        closing(models, runs)
        assert (len(server.requests), server.connections) == (6 * 8, 1)


def test_what_is_attached_after_closing_has_a_new_client():
    with ModelServer() as server:
        models = Models(settings(server.base_url))
        first = models.client
        assert models.client is first
        agent = Agent(name="Solo", instructions=".")
        for _ in range(2):  # ask() closes the client at its end
            ask(models, Agency(agent))
        assert models.client is not first
        closing(models, _nothing)
        assert len(server.requests) == 2


def test_limits_are_explicit():
    models = Models(settings())
    timeout = models.client.timeout
    assert (timeout.connect, timeout.read, timeout.write, timeout.pool) == (5, 120, 30, 5)
    assert models.client.max_retries == 2
    closing(models, _nothing)


def test_nothing_is_traced(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-the-environment")
    before = set(threading.enumerate())
    with ModelServer() as server:
        ask(Models(settings(server.base_url)), single())
        with agents.trace("by the agency's own code") as trace:
            assert trace.trace_id == "no-op"
    assert not [t for t in set(threading.enumerate()) - before if "asyncio" not in t.name and "Any" not in t.name]
    assert agents.tracing.get_trace_provider()._multi_processor._processors == ()


async def _nothing():
    return None
