"""Images and files by link: the provider fetches them, never this process; one that has gone breaks no later turn."""

import json
import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from agents import Model
from agents.models.openai_provider import OpenAIProvider

from agency_lambda import validators
from agency_lambda.framework.models import links
from agency_lambda.protocol import bounds
from tests.library.conftest import Service
from tests.library.model_server import Failure, ModelRequest, ModelServer
from tests.library.v1.test_conversations import new

MODEL = "letters"
IMAGE, FILE = "https://images.example.com/a.png?x=1", "https://files.example.com/a.pdf"
PART = {"type": "input_image", "image_url": IMAGE}
DOCUMENT = {"type": "input_file", "file_url": FILE}
GO_ON = {"role": "user", "content": "Go on."}


def user(*parts: dict[str, Any]) -> dict[str, Any]:
    return {"role": "user", "content": [{"type": "input_text", "text": "Look."}, *parts]}


class Provider:
    """`gone`: links that it cannot fetch any more. names: it says which."""

    def __init__(self) -> None:
        self.gone: set[str] = set()
        self.names = True

    def answer(self, request: ModelRequest) -> Any:
        sent = json.dumps(request.body)
        for url in sorted(self.gone):
            if f'": "{url}"' in sent:
                message = f"Error while downloading {url if self.names else 'file'}. Upstream status code: 404."
                error = {"message": message, "type": "invalid_request_error", "param": "url", "code": "invalid_value"}
                return Failure(400, json.dumps({"error": error}))
        return "Seen."


@pytest.fixture
def provider() -> Provider:
    return Provider()


@pytest.fixture
def server(provider: Provider) -> Iterator[ModelServer]:
    links._gone.clear()
    with ModelServer(provider.answer) as running:
        yield running


@pytest.fixture
def openai(server: ModelServer, start: Callable[..., Service], monkeypatch: pytest.MonkeyPatch) -> Service:
    """The provider is taken for OpenAI itself."""
    monkeypatch.setattr(validators, "_OPENAI", "127.0.0.1")
    return start(OPENAI_API_KEY="k", OPENAI_BASE_URL=server.base_url)


def urls(server: ModelServer) -> list[str]:
    """The links that the model was sent last."""
    sent = json.dumps(server.requests[-1].body)
    return [url for url in (IMAGE, FILE) if f'": "{url}"' in sent]


def test_provider_is_given_links_in_messages_and_outputs(openai: Service, server: ModelServer) -> None:
    assert openai.respond([user(PART, DOCUMENT)])["status"] == "completed"
    content = server.requests[-1].body["input"][-1]["content"]
    assert content == [{"type": "input_text", "text": "Look."}, {**PART, "detail": "auto"}, DOCUMENT]
    call = {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"}
    output = {"type": "function_call_output", "call_id": "c", "output": [PART, DOCUMENT]}
    response = openai.respond([user(), call, output])
    assert server.requests[-1].body["input"][-1]["output"] == [{**PART, "detail": "auto"}, DOCUMENT]
    openai.respond("And?", previous_response_id=response["id"])
    assert urls(server) == [IMAGE, FILE]
    shown = openai.get(f"/v1/responses/{response['id']}/input_items")[1]["data"]
    assert shown[0]["output"] == [{**PART, "detail": "auto"}, DOCUMENT]


@pytest.mark.parametrize(
    ("setting", "accepted"), [({}, False), ({"LINKED_CONTENT": "1"}, True), ({"LINKED_CONTENT": "0"}, False)]
)
def test_another_server_is_given_them_by_a_setting(
    start: Callable[..., Service], server: ModelServer, setting: dict[str, str], accepted: bool
) -> None:
    service = start(OPENAI_API_KEY="k", OPENAI_BASE_URL=server.base_url, **setting)
    for background in (False, True):
        body = {"model": MODEL, "input": [GO_ON, user(PART)], "background": background}
        status, answer = service.post("/v1/responses", body)
        assert (status == 200) is accepted
        if not accepted:
            refused = answer["error"]["code"], answer["error"]["param"]
            assert refused == ("unsupported_parameter", "input[1].content[1].image_url")
    status, answer = service.post("/v1/conversations", {"items": [user(DOCUMENT)]})
    assert (status == 200) is accepted
    assert accepted or answer["error"]["param"] == "items[0].content[1].file_url"
    assert urls(server) == [IMAGE] if accepted else server.requests == []


def test_setting_keeps_them_from_openai_too(
    openai: Service, start: Callable[..., Service], server: ModelServer
) -> None:
    openai.handler.close()
    service = start(LINKED_CONTENT="0")
    assert service.post("/v1/responses", {"model": MODEL, "input": [user(PART)]})[0] == 400


def test_chat_completions_take_links_of_images_alone(
    openai: Service, start: Callable[..., Service], server: ModelServer
) -> None:
    openai.handler.close()
    service = start(MODEL_API="chat")
    assert service.respond([user(PART)])["status"] == "completed"
    assert urls(server) == [IMAGE]
    status, answer = service.post("/v1/responses", {"model": MODEL, "input": [user(PART, DOCUMENT)]})
    assert (status, answer["error"]["param"]) == (400, "input[0].content[2].file_url")


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("http://example.com/a.png", "unsupported_parameter"),
        ("file:///etc/passwd", "unsupported_parameter"),
        ("gopher://example.com", "unsupported_parameter"),
        ("//example.com/a.png", "unsupported_parameter"),
        ("https://user@example.com/", "unsupported_parameter"),
        ("https://user:secret@example.com/", "unsupported_parameter"),
        ("https://", "invalid_request"),
        ("https:///a.png", "invalid_request"),
        ("https://exa mple.com/", "invalid_request"),
        ("https://example.com\\@evil.com/", "invalid_request"),
        ("https://example.com/\n", "invalid_request"),
        ("https://[::1/", "invalid_request"),
        ("https://example.com:99999/", "invalid_request"),
        (f"https://example.com/{'x' * bounds.LINK}", "invalid_request"),
    ],
)
@pytest.mark.parametrize("kind", ["input_image", "input_file"])
def test_what_is_no_plain_https_link_is_refused(service: Service, url: str, code: str, kind: str) -> None:
    field = "image_url" if kind == "input_image" else "file_url"
    status, answer = service.post("/v1/responses", {"model": MODEL, "input": [user({"type": kind, field: url})]})
    assert (status, answer["error"]["code"]) == (400, code)
    assert answer["error"]["param"] == f"input[0].content[1].{field}"


def test_other_mistakes_are_named(service: Service) -> None:
    data = "data:application/pdf;base64,JVBERi0="
    for part, field in (
        ({**DOCUMENT, "file_data": data}, "file_url"),
        ({**DOCUMENT, "file_id": "file-x"}, "file_url"),
        ({"type": "input_image"}, "image_url"),
        ({"type": "input_file"}, "file_data"),
    ):
        status, answer = service.post("/v1/responses", {"model": MODEL, "input": [user(part)]})
        assert (status, answer["error"]["param"]) == (400, f"input[0].content[1].{field}"), answer
    many = [user(*[PART] * (bounds.INPUT_FILES + 1))]
    assert service.post("/v1/responses", {"model": MODEL, "input": many})[0] == 400


def test_nothing_is_fetched_here(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also by the offline model, and where the link leads to this machine."""
    looked_up: list[Any] = []
    monkeypatch.setattr(socket, "getaddrinfo", lambda *place, **_: looked_up.append(place))
    for url in (IMAGE, "https://localhost/x", "https://169.254.169.254/latest/meta-data"):
        assert service.respond([user({**PART, "image_url": url})])["status"] == "completed"
    assert looked_up == []


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("names", [False, True])
def test_link_of_an_earlier_turn_that_has_gone_is_left_out(
    openai: Service, server: ModelServer, provider: Provider, names: bool, stream: bool
) -> None:
    name, provider.names = new(openai), names
    openai.respond([user(PART)], conversation=name)
    openai.respond([user(DOCUMENT)], conversation=name)
    provider.gone = {IMAGE}
    answer = openai.respond([GO_ON], conversation=name, stream=stream)
    assert (answer[-1]["response"] if stream else answer)["status"] == "completed"
    assert urls(server) == ([FILE] if names else [])
    assert f"[The image at {IMAGE} could not be fetched any more.]" in json.dumps(server.requests[-1].body)
    asked = len(server.requests)
    openai.respond([GO_ON], conversation=name)
    assert len(server.requests) == asked + 1  # it is not tried again soon
    provider.gone = set()
    openai.respond([user(PART)])  # who sends it anew has it tried
    assert urls(server) == [IMAGE]
    links._gone.clear()
    openai.respond([GO_ON], conversation=name)
    assert urls(server) == [IMAGE, FILE]


def test_link_of_this_turn_that_cannot_be_read_fails_it(
    openai: Service, server: ModelServer, provider: Provider
) -> None:
    name = new(openai)
    openai.respond("hello", conversation=name)
    provider.gone = {IMAGE}
    body = {"model": MODEL, "input": [user(PART, DOCUMENT)], "conversation": name}
    status, answer = openai.post("/v1/responses", body)
    assert (status, answer["error"]["code"]) == (400, "link_not_readable")
    assert IMAGE not in answer["error"]["message"]
    assert openai.respond([GO_ON], conversation=name)["status"] == "completed"
    assert urls(server) == []  # nothing of the failed turn is kept
    events = openai.respond([user(PART)], stream=True)
    error = events[-1]["response"]["error"]
    assert (error["code"], error["detail_code"]) == ("invalid_prompt", "link_not_readable")
    assert openai.post("/v1/responses", {**body, "input": [GO_ON, user(PART)]})[0] == 400  # though it was remembered


def test_other_failures_have_nothing_to_do_with_links(openai: Service, server: ModelServer) -> None:
    response = openai.respond([user(PART)])
    server.answer = lambda request: Failure(400, '{"error": {"message": "Unknown.", "param": "x"}}')
    before = len(server.requests)
    body = {"model": MODEL, "input": "x", "previous_response_id": response["id"]}
    status, failed = openai.post("/v1/responses", body)
    assert (status, failed["error"]["code"]) == (400, "model_refused_request")
    assert len(server.requests) == before + 1


def test_model_that_may_not_have_them_is_given_a_sentence(
    openai: Service, start: Callable[..., Service], server: ModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = new(openai, items=[user(PART, DOCUMENT)])
    openai.respond("hello", conversation=name)
    assert urls(server) == [IMAGE, FILE]
    monkeypatch.setattr(validators, "_OPENAI", "api.openai.com")  # the deployment asks another provider by now
    openai.respond("hello", conversation=name)
    assert urls(server) == []
    sent = json.dumps(server.requests[-1].body)
    assert f"[The image at {IMAGE} is left out: this model is sent no links.]" in sent
    assert f"[The file at {FILE} is left out: this model is sent no links.]" in sent


class VendorsModel(Model):
    """As litellm's: it may download what a link leads to by itself."""

    async def get_response(self, *args: Any, **kwargs: Any) -> Any: ...

    def stream_response(self, *args: Any, **kwargs: Any) -> Any: ...


@pytest.mark.parametrize(
    ("url", "setting", "kinds"),
    [
        ("https://api.openai.com/v1", None, {"input_image", "input_file"}),
        ("https://eu.api.openai.com/v1", None, {"input_image", "input_file"}),
        ("https://api.openai.com/v1", "0", set()),
        ("https://example.openai.azure.com/v1", None, set()),
        ("https://api.openai.com.example.com/v1", None, set()),
        ("https://example.com/v1", "1", {"input_image", "input_file"}),
    ],
)
def test_models_that_are_sent_links(url: str, setting: Any, kinds: set[str]) -> None:
    def made(use_responses: bool) -> Model:
        return OpenAIProvider(api_key="k", base_url=url, use_responses=use_responses).get_model("gpt-5")

    assert links.taken(made(True), setting) == kinds
    assert links.taken(made(False), setting) == kinds & {"input_image"}
    assert links.taken(VendorsModel(), setting) == set()
