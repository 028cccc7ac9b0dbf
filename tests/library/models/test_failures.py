"""When the model does not answer, it is known as that, under everything the framework wraps around it."""

import asyncio
import itertools

import httpx
import pytest
from agency_swarm import function_tool
from agents import GuardrailFunctionOutput, input_guardrail

from agency_lambda.errors import ModelTimeout
from agency_lambda.framework.models import Models, ModelUnavailable, is_upstream_failure, selection
from tests.library.model_server import Failure, ModelServer, call, scripts
from tests.library.models.agencies import Listener, ask, ask_streamed, attach, closing, office, settings, single
from tests.library.models.test_offline_script import SCRIPT

SECRET = '{"error": {"message": "Incorrect API key provided: sk-live-0815 of org-42"}}'
FAILURES = {
    "rate limit": Failure(429),
    "server error": Failure(500),
    "secret in the text": Failure(401, SECRET),
    "dropped connection": Failure(0),
    "stream breaks off": Failure(0, after=4),
    "broken json": Failure(200, "{nope"),
}
CASES = [(api, name) for api in ("responses", "chat") for name in FAILURES]


@pytest.fixture(autouse=True)
def no_retries(monkeypatch):
    monkeypatch.setattr(selection, "_RETRIES", 0)


@pytest.mark.parametrize("live", [False, True])
@pytest.mark.parametrize(("api", "name"), CASES)
def test_a_run_fails_as_an_upstream_failure(api, name, live):
    run = Listener(live)
    with (
        ModelServer(lambda request: FAILURES[name]) as server,
        pytest.raises(Exception, match="Runner execution failed") as failure,
    ):
        ask(Models(settings(server.base_url, model_api=api)), single(), run=run)
    assert is_upstream_failure(failure.value)
    assert isinstance(failure.value.__cause__, ModelUnavailable)
    assert "sk-live" not in f"{failure.value} {failure.value.__cause__} {run.events}"
    assert run.meter.model_calls == 1
    assert [str(error) for error in run.broken] == [ModelUnavailable.TEXT]
    assert run.answers == []


@pytest.mark.parametrize("run", [ask, ask_streamed])
def test_what_a_colleagues_model_said_reaches_nobody(run):
    def answer(request):
        return Failure(401, SECRET) if "You are Planner" in request.instructions else scripts(SCRIPT)(request)

    with ModelServer(answer) as server:
        result, meter = run(Models(settings(server.base_url)), office())
        sent = str([request.body for request in server.requests])
    assert meter.model_calls == 3 + 2 + 2
    assert "sk-live" not in f"{result} {sent}"


def test_a_page_with_no_answer_in_it_is_no_answer():
    page = Failure(200, "<html>Welcome</html>", {"Content-Type": "text/html"})
    for api, live in itertools.product(("responses", "chat"), (False, True)):
        with ModelServer(lambda request: page) as server:
            with pytest.raises(Exception, match="Runner execution failed") as failure:
                ask(Models(settings(server.base_url, model_api=api)), single(), live=live)
            assert is_upstream_failure(failure.value)


def test_a_silent_server_is_given_up():
    with ModelServer(["too late"], delay=0.6) as server:
        with pytest.raises(Exception, match="Runner execution failed") as failure:
            ask(Models(settings(server.base_url, model_first_byte_seconds=0.2)), single())
        assert failure.value.__cause__.kind is ModelTimeout


def test_nobody_listens():
    with pytest.raises(Exception, match="Runner execution failed") as failure:
        ask(Models(settings("http://127.0.0.1:9/v1")), single())
    assert is_upstream_failure(failure.value)


def test_the_client_tries_again_before_it_gives_up(monkeypatch):
    monkeypatch.setattr(selection, "_RETRIES", 2)
    busy = Failure(429, headers={"retry-after-ms": "1"})
    with ModelServer([busy, busy, "at last"]) as server:
        text, meter = ask(Models(settings(server.base_url)), single())
        assert (text, len(server.requests), meter.model_calls) == ("at last", 3, 1)


@function_tool(failure_error_function=None)
async def fetch_page(url: str) -> str:
    """Fails as a tool's own HTTP client would."""
    raise httpx.ConnectError("no route")


@input_guardrail
def faulty_guardrail(context, agent, message) -> GuardrailFunctionOutput:
    raise httpx.ReadTimeout("slow policy server")


@pytest.mark.parametrize("live", [False, True])
@pytest.mark.parametrize(
    "faulty", [{"tools": [fetch_page]}, {"input_guardrails": [faulty_guardrail]}], ids=["tool", "guardrail"]
)
def test_a_failure_of_the_agencys_own_code_is_not_the_models(faulty, live):
    with ModelServer(lambda request: call("fetch_page", url="x") if request.tools else "fine") as server:
        with pytest.raises(Exception, match=r"failed|Error|slow|route") as failure:
            ask(Models(settings(server.base_url)), single(**faulty), live=live)
        assert not is_upstream_failure(failure.value)


def test_the_chain_of_an_exception_is_read_as_a_traceback_reads_it():
    def raised(error, cause=None, context=None, suppressed=False):
        error.__cause__, error.__context__ = cause, context
        error.__suppress_context__ = suppressed
        return error

    model = ModelUnavailable()
    assert is_upstream_failure(raised(ValueError(), cause=raised(KeyError(), context=model)))
    assert not is_upstream_failure(raised(ValueError(), context=model, suppressed=True))
    loop = ValueError()
    loop.__context__ = KeyError()
    loop.__context__.__context__ = loop
    assert not is_upstream_failure(loop)


def test_a_run_that_failed_leaves_the_client_usable():
    with ModelServer([Failure(0, after=3), "fine"]) as server:
        models = Models(settings(server.base_url))

        async def twice():
            answers = []
            for _ in range(2):
                agency = single()
                attach(models, agency, Listener(live=True))
                answers.append(await asyncio.gather(agency.get_response("hi"), return_exceptions=True))
            return answers

        [broken], [good] = closing(models, twice)
    assert is_upstream_failure(broken)
    assert good.final_output == "fine"
