"""Every call of every agent is counted, and a wrapped model still looks like itself."""

import asyncio
import copy
from contextlib import aclosing

import pytest
from agency_swarm import Agency, Agent
from agency_swarm.agent.constants import FRAMEWORK_DEFAULT_MODEL
from agency_swarm.messages.codex_input import agent_uses_codex_browser_auth
from agency_swarm.utils.hosted_tool_compat import _supports_openai_hosted_tools
from agency_swarm.utils.model_utils import get_model_name, get_usage_tracking_model_name
from agents import Model, ModelResponse, OpenAIChatCompletionsModel, OpenAIResponsesModel, Usage
from openai import AsyncOpenAI

from agency_lambda.framework.models import Meter, MeteredModel, Models, is_upstream_failure
from agency_lambda.framework.models.events import message_item
from agency_lambda.framework.offline_model import OfflineModel
from tests.library.model_server import ModelServer, scripts
from tests.library.models.agencies import (
    Listener,
    ask,
    ask_streamed,
    attach,
    model_of,
    office,
    offline,
    settings,
    single,
)
from tests.library.models.test_events import request
from tests.library.models.test_offline_script import SCRIPT


@pytest.mark.parametrize("run", [ask, ask_streamed])
@pytest.mark.parametrize("api", ["responses", "chat"])
def test_all_tokens_of_all_agents_are_those_the_server_counted(run, api):
    with ModelServer(scripts(SCRIPT)) as server:
        _, meter = run(Models(settings(server.base_url, model_api=api)), office())
        assert meter.model_calls == len(server.requests) == 8
        assert (meter.input_tokens, meter.output_tokens) == server.tokens
        assert meter.total_tokens == sum(server.tokens) > 1000


@pytest.mark.parametrize("run", [ask, ask_streamed])
def test_offline_calls_are_counted_too(run):
    _, meter = run(offline(), office(), script=SCRIPT)
    assert meter.model_calls == 8
    assert meter.total_tokens == meter.input_tokens + meter.output_tokens > 100


class Own(Model):
    """A model of the agency's own."""

    model = "own"
    private = "seen"

    def __init__(self):
        self.closed = False

    async def close(self):
        self.closed = True

    def get_retry_advice(self, request):
        return "advice"

    async def get_response(self, *args, **kwargs):
        usage = Usage(requests=1, input_tokens=3, output_tokens=4, total_tokens=7)
        return ModelResponse(output=[message_item("mine")], usage=usage, response_id=None)

    async def stream_response(self, *args, **kwargs):
        try:
            for _ in range(3):
                yield None
        finally:
            self.closed = True


def test_a_model_instance_of_the_agency_stays_also_offline():
    text, meter = ask(offline(), single(model=Own()))
    assert text == "mine"
    assert meter == Meter(model_calls=1, input_tokens=3, output_tokens=4, total_tokens=7)


def test_a_failed_call_is_a_call_and_a_bug_stays_a_bug():
    class Buggy(Own):
        async def get_response(self, *args, **kwargs):
            raise KeyError("typo")

    run = Listener()
    with pytest.raises(Exception, match="Runner execution failed") as failure:
        ask(offline(), single(model=Buggy()), run=run)
    assert run.meter.model_calls == 1
    assert [type(error) for error in run.broken] == [KeyError]
    assert not is_upstream_failure(failure.value)


def test_wrapping_forwards_what_the_framework_asks():
    own = Own()
    wrapped = MeteredModel(own, Listener(), "Solo")
    assert (wrapped.model, wrapped.private, wrapped.get_retry_advice(None)) == ("own", "seen", "advice")
    assert (get_model_name(wrapped), get_usage_tracking_model_name(wrapped)) == ("own", "own")
    assert isinstance(wrapped, Own)
    assert isinstance(wrapped, MeteredModel)
    assert copy.copy(wrapped).inner is own
    with pytest.raises(AttributeError):
        _ = wrapped.not_there
    asyncio.run(wrapped.close())
    assert own.closed


def test_an_abandoned_stream_is_closed_at_once():
    own = Own()

    async def first_event_only():
        model = MeteredModel(own, Listener(), "Solo")
        async with aclosing(model.stream_response(**request())) as stream:
            async for _ in stream:
                break
        return own.closed

    assert asyncio.run(first_event_only())


@pytest.mark.parametrize("base_url", ["https://api.openai.com/v1", "https://chatgpt.com/backend-api/codex"])
@pytest.mark.parametrize("kind", [OpenAIResponsesModel, OpenAIChatCompletionsModel])
def test_the_framework_treats_a_wrapped_openai_model_as_one(kind, base_url):
    client = AsyncOpenAI(api_key="sk-x", base_url=base_url)
    plain = Agent(name="Plain", instructions=".", model=kind("gpt-5.4", client))
    agency = single(model=kind("gpt-5.4", client))
    attach(offline(), agency, Listener())
    wrapped = model_of(agency)
    assert isinstance(wrapped, kind)
    assert type(wrapped) is MeteredModel
    for question in (agent_uses_codex_browser_auth, _supports_openai_hosted_tools):
        assert question(agency.agents["Solo"]) == question(plain)
    assert wrapped._supports_default_prompt_cache_key() == plain.model._supports_default_prompt_cache_key()
    asyncio.run(client.close())


def test_agents_made_once_and_used_again_keep_their_own_model():
    agent = Agent(name="Solo", instructions=".")
    meters = []
    for _ in range(3):
        _, meter = ask(offline(), Agency(agent))
        meters.append(meter)
    assert [meter.model_calls for meter in meters] == [1, 1, 1]
    assert agent.model == FRAMEWORK_DEFAULT_MODEL


def test_a_model_by_itself_answers_through_the_meter():
    run = Listener()
    model = MeteredModel(OfflineModel("Solo"), run, "Solo")
    asyncio.run(model.get_response(**request()))
    assert run.meter.model_calls == 1
