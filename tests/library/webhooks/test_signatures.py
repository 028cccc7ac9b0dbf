"""Standard Webhooks, as its specification and OpenAI's own client verify them."""

import json
import time
from typing import Any

import httpx
import pytest
from fastapi.testclient import TestClient
from openai import AsyncOpenAI, InvalidWebhookSignatureError, OpenAI
from openai.types.webhooks import ResponseCompletedWebhookEvent

from agency_lambda.webhooks import WebhookEvent
from agency_lambda.webhooks.model import END_EVENTS, StoredDelivery
from agency_lambda.webhooks.signatures import new_secret, signed_headers
from tests.library.paths import ROOT


def test_the_test_vector_of_standard_webhooks() -> None:
    headers = signed_headers(
        "msg_p5jXN8AQM9LWM0D4loKWxJek",
        1614265330,
        b'{"test": 2432232314}',
        ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"],
    )
    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def signed(event: WebhookEvent, *secrets: str, approvals: Any = ()) -> tuple[bytes, dict[str, str]]:
    delivery = StoredDelivery.new("owner", event, "resp_1", approvals)
    body = json.dumps(delivery.payload).encode()
    return body, signed_headers(delivery.id, int(time.time()), body, secrets)


@pytest.mark.parametrize("event", END_EVENTS.values())
def test_openais_client_unwraps_the_end_of_a_response(event: WebhookEvent) -> None:
    secret = new_secret()
    body, headers = signed(event, secret)
    unwrapped: Any = OpenAI(api_key="any").webhooks.unwrap(body, headers, secret=secret)
    assert type(unwrapped).__module__.startswith("openai.types.webhooks.response_")
    assert (unwrapped.type, unwrapped.data.id, unwrapped.object) == (event, "resp_1", "event")
    assert unwrapped.id == headers["webhook-id"]
    parsed: Any = AsyncOpenAI(api_key="any").webhooks.unwrap(body, headers, secret=secret)
    assert parsed == unwrapped
    assert isinstance(unwrapped, ResponseCompletedWebhookEvent) == (event == "response.completed")


def test_openais_client_unwraps_an_event_that_openai_does_not_have() -> None:
    secret = new_secret()
    body, headers = signed("response.approval_required", secret, approvals=["mcpr_1", "mcpr_2"])
    unwrapped: Any = OpenAI(api_key="any").webhooks.unwrap(body, headers, secret=secret)
    assert (unwrapped.type, unwrapped.data.id) == ("response.approval_required", "resp_1")
    assert unwrapped.data.approvals == ["mcpr_1", "mcpr_2"]


def test_sample_of_the_page_runs(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    secret, sample = new_secret(), dict[str, Any]()
    for name, value in {"URL": "http://127.0.0.1:9", "KEY": "any", "WEBHOOK_SECRET": secret}.items():
        monkeypatch.setenv(name, value)
    page = (ROOT / "docs" / "webhooks.md").read_text()
    exec(page.split("```python\n")[1].split("```")[0], sample)

    def answer(request: httpx.Request) -> httpx.Response:
        message = {"type": "message", "content": [{"type": "output_text", "text": f"text of {request.url.path}"}]}
        return httpx.Response(200, json={"id": "resp_1", "output": [message]})

    http_client = httpx.AsyncClient(transport=httpx.MockTransport(answer))
    sample["client"] = sample["client"].with_options(http_client=http_client)
    with TestClient(sample["app"]) as server:
        for event, approvals in (("response.completed", ()), ("response.approval_required", ["mcpr_1"])):
            body, headers = signed(event, secret, approvals=approvals)
            assert server.post("/hook", content=body, headers=headers).status_code == 200
        assert server.post("/hook", content=body + b" ", headers=headers).status_code == 400
    assert capsys.readouterr().out == "text of /v1/responses/resp_1\nresp_1 waits for ['mcpr_1']\n"


def test_another_secret_another_body_and_an_old_time_are_refused() -> None:
    secret, client = new_secret(), OpenAI(api_key="any").webhooks
    body, headers = signed("response.completed", secret)
    for payload, given, key in (
        (body, headers, new_secret()),
        (body.replace(b"resp_1", b"resp_2"), headers, secret),
        (body, {**headers, "webhook-id": "evt_2"}, secret),
        (body, {**headers, "webhook-timestamp": str(int(time.time()) - 10)}, secret),
    ):
        with pytest.raises(InvalidWebhookSignatureError):
            client.unwrap(payload, given, secret=key)


def test_both_secrets_verify_while_one_takes_the_others_place() -> None:
    new, old = new_secret(), new_secret()
    body, headers = signed("response.completed", new, old)
    for secret in (new, old):
        OpenAI(api_key="any").webhooks.unwrap(body, headers, secret=secret)
    assert len({new_secret() for _ in range(9)}) == 9
