"""The test server itself: a wrong fixture would make every other test here worthless."""

import threading

import httpx
import pytest
from openai import OpenAI

from tests.library.model_server import Failure, ModelServer, call


@pytest.fixture
def ask_openai():
    def ask(server, **more):
        with OpenAI(api_key="sk-x", base_url=server.base_url, max_retries=0) as client:
            return client.responses.create(model="m", input="hello", **more)

    return ask


def test_canned_answers_come_in_order(ask_openai):
    with ModelServer(["one", call("add", a=1), [("add", {"a": 2}), ("add", {"a": 3})]]) as server:
        assert ask_openai(server).output_text == "one"
        assert [item.arguments for item in ask_openai(server).output] == ['{"a": 1}']
        assert [item.arguments for item in ask_openai(server).output] == ['{"a": 2}', '{"a": 3}']


def test_requests_are_recorded_and_connections_counted():
    with ModelServer(lambda request: "ok") as server:
        with OpenAI(api_key="sk-x", base_url=server.base_url) as client:
            for _ in range(3):
                client.chat.completions.create(model="m", messages=[{"role": "user", "content": "hi"}])
                list(client.responses.create(model="m", input="hi", stream=True))
        assert server.connections == 1
        assert len(server.requests) == 6
        assert server.requests[0].headers["authorization"] == "Bearer sk-x"
        assert server.requests[0].items == [{"role": "user", "content": "hi"}]


def test_a_failure_is_sent_as_it_is():
    with ModelServer([Failure(429, "slow down", {"retry-after": "7"})]) as server:
        answer = httpx.post(f"{server.base_url}/responses", json={"model": "m", "input": "hi"})
        assert (answer.status_code, answer.text, answer.headers["retry-after"]) == (429, "slow down", "7")


def test_a_text_is_cut_at_the_requests_limit(ask_openai):
    with ModelServer(lambda request: "x" * 400) as server:
        assert len(ask_openai(server).output_text) == 400
        cut = ask_openai(server, max_output_tokens=16)
        with OpenAI(api_key="sk-x", base_url=server.base_url) as client:
            asked = {"model": "m", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 16}
            chat = client.chat.completions.create(**asked).choices[0]
    assert (len(cut.output_text), cut.status, cut.usage.output_tokens) == (63, "incomplete", 16)
    assert (chat.message.content, chat.finish_reason) == (cut.output_text, "length")


def test_a_stream_waits_before_its_last_event():
    hold, kinds = threading.Event(), []
    with ModelServer(["one"], hold=hold) as server, OpenAI(api_key="sk-x", base_url=server.base_url) as client:
        for event in client.responses.create(model="m", input="hi", stream=True):
            kinds.append(event.type)
            if event.type == "response.output_item.done":
                hold.set()
    assert kinds[-2:] == ["response.output_item.done", "response.completed"]


def test_the_end_of_the_block_is_the_end_of_everything():
    before = threading.active_count()
    client = httpx.Client()
    with ModelServer(lambda request: "ok") as server:
        client.post(f"{server.base_url}/responses", json={"model": "m", "input": "hi"})
        url = server.base_url
    assert threading.active_count() == before
    with pytest.raises(httpx.HTTPError):
        client.post(f"{url}/responses", json={})
    client.close()
