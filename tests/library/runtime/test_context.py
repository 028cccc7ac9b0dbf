"""What the app and the log learn of an invocation: the same as from AWS's own client."""

import json
import time
from typing import Any

import pytest
from awslambdaric.bootstrap import create_lambda_context

from agency_lambda.testing.events import rest_event
from lambda_loop.runtime.api import Event
from lambda_loop.runtime.context import Context
from tests.library.runtime.conftest import Start
from tests.library.runtime.environments import Environment
from tests.library.runtime.runtime_api import ARN

CLIENT = '{"client": {"app_title": "desk"}, "custom": {"a": {"b": 1}}, "env": {"locale": "de"}}'
IDENTITY = '{"cognitoIdentityId": "id-1", "cognitoIdentityPoolId": "pool-1"}'


def test_everything_that_lambda_tells_reaches_the_app(apps: Environment) -> None:
    invocation = apps.api.invoke(
        rest_event(path="/knows"),
        Lambda_Runtime_Aws_Tenant_Id="tenant-1",
        Lambda_Runtime_Client_Context=CLIENT,
        Lambda_Runtime_Cognito_Identity=IDENTITY,
    )
    context = json.loads(invocation.body)
    assert 18_000 < context.pop("left") <= 20_000
    trace = invocation.headers["Lambda-Runtime-Trace-Id"]
    assert context == {
        "aws_request_id": invocation.request_id,
        "invoked_function_arn": ARN,
        "tenant_id": "tenant-1",
        "trace_id": trace,
        "trace": trace,
        "function_name": "api",
        "function_version": "7",
        "memory_limit_in_mb": "1024",
        "log_group_name": "/aws/lambda/api",
        "log_stream_name": "2026/01/01/[7]abc",
        "identity": {"cognito_identity_id": "id-1", "cognito_identity_pool_id": "pool-1"},
        "client": {"title": "desk", "custom": {"a": {"b": 1}}, "env": {"locale": "de"}},
    }
    line = [line for line in apps.lines if line.get("logger") == "tests"][-1]
    assert line["message"] == "of this"
    assert (line["requestId"], line["tenantId"], line["traceId"]) == (invocation.request_id, "tenant-1", trace)


def test_nothing_of_one_invocation_is_told_in_the_next(apps: Environment) -> None:
    test_everything_that_lambda_tells_reaches_the_app(apps)
    context = json.loads(apps.api.invoke(rest_event(path="/knows")).body)
    assert "tenant_id" not in context
    assert context["client"] is None
    assert context["identity"] == {"cognito_identity_id": None, "cognito_identity_pool_id": None}
    assert "tenantId" not in [line for line in apps.lines if line.get("logger") == "tests"][-1]


@pytest.mark.parametrize(("client", "identity"), [(CLIENT, IDENTITY), ("{}", "{}"), (None, None)])
def test_the_context_is_that_of_awss_client(client: str | None, identity: str | None) -> None:
    end = int(1000 * (time.time() + 5))
    values = {"deadline-ms": str(end), "client-context": client, "cognito-identity": identity}
    headers = {f"lambda-runtime-{name}": value for name, value in values.items() if value is not None}
    ours = Context(Event("r", b"", {**headers, "lambda-runtime-invoked-function-arn": ARN}))
    theirs = create_lambda_context(client, identity, end, "r", ARN, None)
    assert abs(ours.get_remaining_time_in_millis() - theirs.get_remaining_time_in_millis()) < 100
    assert plain(theirs).items() <= plain(ours).items()


def plain(thing: Any) -> Any:
    """Public attributes, all the way down."""
    if thing is None or isinstance(thing, str | int | dict):
        return thing
    names = getattr(type(thing), "__slots__", None) or vars(thing)
    return {name: plain(getattr(thing, name)) for name in names if not name.startswith("_")}


def test_log_lines_are_json_where_the_function_is_set_to_it(start: Start) -> None:
    environment = start(AWS_LAMBDA_LOG_FORMAT="JSON", AWS_LAMBDA_LOG_LEVEL="WARN")
    invocation = environment.api.invoke(rest_event(path="/logs"))
    warned, failed = [line for line in environment.lines if line.get("logger") == "tests"]
    assert {**warned, "timestamp": ""} == {
        "timestamp": "",
        "level": "WARNING",
        "message": "warned of Tür",
        "logger": "tests",
        "requestId": invocation.request_id,
        "traceId": invocation.headers["Lambda-Runtime-Trace-Id"],
    }
    assert (failed["level"], failed["errorType"], failed["errorMessage"]) == ("ERROR", "ValueError", "logged")
    assert "apps.py" in failed["stackTrace"][0]
    assert [line for line in environment.log.splitlines() if not line.startswith("{")] == ["printed"]


def test_log_lines_are_text_otherwise(start: Start) -> None:
    environment = start(AWS_LAMBDA_LOG_FORMAT="Text", AWS_LAMBDA_LOG_LEVEL="INFO")
    environment.api.invoke(rest_event(path="/logs"))
    assert "WARNING:tests:warned of Tür\n" in environment.log
    assert "INFO:tests:not seen\n" in environment.log
    assert not [line for line in environment.lines if "level" in line]


def test_what_is_printed_is_in_the_log_at_once_and_not_lost_with_the_process(apps: Environment) -> None:
    invocation = apps.api.begin(rest_event(path="/prints"))
    end = time.monotonic() + 5
    while not any(line.startswith("printed") for line in apps.log.splitlines()) and time.monotonic() < end:
        time.sleep(0.02)
    assert not invocation.over.is_set()
    invocation.wait()
