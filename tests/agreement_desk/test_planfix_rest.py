"""How Planfix fails, and what is said then."""

import time
from collections.abc import Callable, Iterator

import httpx
import pytest

from agreement_desk.planfix import open_planfix
from agreement_desk.planfix_rest import WAITS, RestApi
from agreement_desk.task import PlanfixError
from tests.agreement_desk import planfix_server
from tests.agreement_desk.planfix_server import TOKEN, PlanfixServer
from agency_lambda.testing.vault import secrets_manager


@pytest.fixture
def api(server: PlanfixServer) -> RestApi:
    return RestApi(server.url, TOKEN, timeout=httpx.Timeout(0.3), waits=(0.05, 0.05))


@pytest.fixture(params=["https://account.planfix.com/rest", "https://account.planfix.com/rest/"])
def no_network(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[httpx.Request]]:
    sent: list[httpx.Request] = []

    def record(_: httpx.HTTPTransport, asked: httpx.Request) -> httpx.Response:
        sent.append(asked)
        return httpx.Response(200, json={"id": 1})

    monkeypatch.setattr(httpx.HTTPTransport, "handle_request", record)
    RestApi(request.param, TOKEN).create_task("name")
    return sent


def test_a_url_may_end_in_a_slash_or_not(no_network: list[httpx.Request]) -> None:
    assert [str(asked.url) for asked in no_network] == ["https://account.planfix.com/rest/task/"]
    assert no_network[0].headers["Authorization"] == f"Bearer {TOKEN}"


def test_a_bad_token_is_reported_with_its_code_and_never_shown(server: PlanfixServer) -> None:
    with pytest.raises(PlanfixError, match=r"refused task 7: Invalid token .*\(code 1\)") as error:
        RestApi(server.url, "a-wrong-token").get_task(7)
    assert "a-wrong-token" not in str(error.value)
    assert len(server.requests) == 1


@pytest.mark.parametrize("token", ["line\nbreak", "żeton", "x" * 100_000])
def test_a_token_that_cannot_be_sent_is_never_shown(server: PlanfixServer, token: str) -> None:
    with pytest.raises(PlanfixError) as error:
        RestApi(server.url, token).get_task(7)
    assert token[:5] not in str(error.value)


@pytest.mark.parametrize(
    ("fault", "sentence"),
    [
        (planfix_server.garbage, "Planfix answered with something that is not a JSON object"),
        (planfix_server.a_list, "Planfix answered with something that is not a JSON object"),
        (planfix_server.no_content, "Planfix answered without an id"),
        (planfix_server.server_error, "Planfix answered HTTP 500"),
        (planfix_server.redirect, "Planfix answered HTTP 302"),
        (planfix_server.hang_up, "Planfix could not be reached (RemoteProtocolError)"),
        (planfix_server.silence, "Planfix did not answer in time; a change may or may not have been made"),
    ],
)
@pytest.mark.parametrize(
    "use",
    [
        lambda api: api.create_task("name"),
        lambda api: api.get_task(7),
        lambda api: api.list_tasks(),
        lambda api: api.add_comment(7, "text"),
    ],
    ids=["create", "get", "list", "comment"],
)
def test_a_failure_is_one_sentence_and_is_not_tried_again(
    server: PlanfixServer,
    api: RestApi,
    fault: Callable[[planfix_server.Handler], None],
    sentence: str,
    use: Callable[[RestApi], object],
) -> None:
    server.fault = fault
    with pytest.raises(PlanfixError) as error:
        use(api)
    assert str(error.value) == sentence
    assert error.value.__suppress_context__ or error.value.__context__ is None
    assert len(server.requests) == 1


def test_a_server_that_is_not_there_is_one_sentence() -> None:
    with pytest.raises(PlanfixError, match=r"^Planfix could not be reached \(ConnectError\)$"):
        RestApi("http://127.0.0.1:9/rest/", TOKEN).list_tasks()


def test_the_rate_limit_is_waited_out(server: PlanfixServer) -> None:
    api = RestApi(server.url, TOKEN, waits=(0.2, 0.2))
    server.interval = 0.15
    assert [api.create_task("first"), api.create_task("second"), api.create_task("third")] == [100, 101, 102]
    assert len(server.requests) == 5
    assert len(server.tasks) == 3


def test_the_rate_limit_is_not_waited_for_without_end(server: PlanfixServer, api: RestApi) -> None:
    server.interval = 3600
    api.create_task("first")
    started = time.monotonic()
    with pytest.raises(PlanfixError, match=r"refused a new task: Rate limit exceeded \(code 22\)"):
        api.create_task("second")
    assert time.monotonic() - started < 2
    assert len(server.requests) == 1 + 3
    assert sum(WAITS) < 10  # a run has 29 seconds in all


def test_a_long_refusal_is_cut(server: PlanfixServer, api: RestApi) -> None:
    answer = {"result": "fail", "code": 41, "error": f"{TOKEN} " + "x" * 5000}
    server.fault = lambda handler: handler.reply(200, answer)
    with pytest.raises(PlanfixError, match=r"\(code 41\)$") as error:
        api.update_task(7, "name")
    assert len(str(error.value)) < 300
    assert TOKEN not in str(error.value)


def test_the_token_may_lie_in_secrets_manager(server: PlanfixServer, monkeypatch: pytest.MonkeyPatch) -> None:
    with secrets_manager() as vault:
        for name, value in vault.environment.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("PLANFIX_URL", server.url)
        monkeypatch.setenv("PLANFIX_TOKEN_SECRET", vault.create(f"{TOKEN}\n"))
        planfix = open_planfix()
        assert vault.readings() == 0  # choosing happens on the loop, and touches no network
        for _ in range(2):
            planfix.get_task(planfix.create_task("name"))
        assert vault.readings() == 1
        monkeypatch.setenv("PLANFIX_TOKEN_SECRET", "nowhere")
        with pytest.raises(PlanfixError, match=r"token cannot be read \(ResourceNotFoundException\)"):
            open_planfix().get_task(1)
