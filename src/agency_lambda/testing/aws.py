"""What to test on: DynamoDB and SQS on loopback, and a relay before DynamoDB that fails on demand."""

import http.client
import json
import os
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

import boto3
import pytest

_ACCOUNT = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_DEFAULT_REGION": "eu-central-1",
    "AWS_EC2_METADATA_DISABLED": "true",
}


@contextmanager
def dynamodb_here(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield (STORE, environment) of a new table, set in this process too."""
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    with dynamodb_table() as (name, environment):
        for variable, value in environment.items():
            monkeypatch.setenv(variable, value)
        yield f"dynamodb://{name}", environment


@contextmanager
def dynamodb_table() -> Iterator[tuple[str, dict[str, str]]]:
    """Yield (name, boto3's environment) of a new table of moto, or of AGENCY_TEST_DYNAMODB_URL."""
    with _endpoint() as url:
        client = dynamodb_client(url)
        name = f"test-{uuid.uuid4().hex}"
        _create_table(client, name)
        try:
            yield name, {"AWS_ENDPOINT_URL_DYNAMODB": url, **_ACCOUNT}
        finally:
            client.delete_table(TableName=name)
            client.close()


def _create_table(client: Any, name: str) -> None:
    client.create_table(
        TableName=name,
        KeySchema=[
            {"AttributeName": "partition", "KeyType": "HASH"},
            {"AttributeName": "sort", "KeyType": "RANGE"},
        ],
        AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"} for key in ("partition", "sort")],
        BillingMode="PAY_PER_REQUEST",
    )
    client.get_waiter("table_exists").wait(TableName=name, WaiterConfig={"Delay": 1})
    time_to_live = {"Enabled": True, "AttributeName": "expires"}
    client.update_time_to_live(TableName=name, TimeToLiveSpecification=time_to_live)


def dynamodb_client(url: str) -> Any:
    return _client("dynamodb", url)


@contextmanager
def sqs() -> Iterator[tuple[Any, dict[str, str]]]:
    """Yield (client, boto3's environment) of an SQS of moto."""
    with _moto_server() as url:
        client = _client("sqs", url)
        yield client, {"AWS_ENDPOINT_URL_SQS": url, **_ACCOUNT}
        client.close()


@contextmanager
def bucket() -> Iterator[tuple[str, Any, dict[str, str]]]:
    """Yield (name, client, boto3's environment) of a new bucket of moto."""
    with _moto_server() as url:
        client, name = _client("s3", url), f"test-{uuid.uuid4().hex}"
        client.create_bucket(
            Bucket=name, CreateBucketConfiguration={"LocationConstraint": _ACCOUNT["AWS_DEFAULT_REGION"]}
        )
        yield name, client, {"AWS_ENDPOINT_URL_S3": url, **_ACCOUNT}
        client.close()


def _client(service: str, url: str) -> Any:
    return boto3.session.Session().client(
        service,
        endpoint_url=url,
        region_name=_ACCOUNT["AWS_DEFAULT_REGION"],
        aws_access_key_id=_ACCOUNT["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=_ACCOUNT["AWS_SECRET_ACCESS_KEY"],
    )


@contextmanager
def _endpoint() -> Iterator[str]:
    if url := os.environ.get("AGENCY_TEST_DYNAMODB_URL"):
        yield url
        return
    with _moto_server() as url:
        yield url


@contextmanager
def _moto_server() -> Iterator[str]:
    from werkzeug.serving import WSGIRequestHandler, make_server

    class Quiet(WSGIRequestHandler):
        protocol_version = "HTTP/1.1"

        def log(self, *arguments: Any) -> None: ...

    server = make_server("127.0.0.1", 0, moto(), threaded=True, request_handler=Quiet)
    with serving(server):
        yield f"http://127.0.0.1:{server.server_port}"


@cache
def moto() -> Any:
    from moto import server  # a second of CPU

    dispatch: Any = server.DomainDispatcherApplication  # type: ignore[attr-defined]
    moto, one_at_a_time = dispatch(server.create_backend_app), threading.Lock()  # type: ignore[attr-defined]

    def application(environ: Any, start_response: Any) -> Any:
        with one_at_a_time:  # moto looks first and writes then, with nothing to keep two writers apart
            return moto(environ, start_response)

    return application


@contextmanager
def serving(server: Any) -> Iterator[None]:
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class Relay:
    """Passes requests on to a DynamoDB.

    seen: (operation, request) pairs. fault(operation, request): None, or the answer (status, body) instead;
    LOST carries the request out and never answers.
    """

    LOST = (0, b"")

    def __init__(self, url: str) -> None:
        self.behind = urlsplit(url).netloc
        self.seen: list[tuple[str, dict[str, Any]]] = []
        self.delay = 0.0
        self.fault: Callable[[str, dict[str, Any]], tuple[int, bytes] | None] = lambda operation, request: None

    def faults_once(self, operation: str, *answers: tuple[int, bytes]) -> None:
        """Answer the next requests of an operation with these, one each."""
        left = list(answers)
        self.fault = lambda name, request: left.pop(0) if name == operation and left else None

    def operations(self) -> list[str]:
        return [operation for operation, _ in self.seen]

    def answer(self, headers: dict[str, str], body: bytes) -> tuple[int, bytes]:
        operation, request = headers["X-Amz-Target"].partition(".")[2], json.loads(body)
        self.seen.append((operation, request))
        time.sleep(self.delay)
        instead = self.fault(operation, request)
        if instead not in (None, self.LOST):
            return instead
        connection = http.client.HTTPConnection(self.behind)
        try:
            connection.request("POST", "/", body, headers)
            answer = connection.getresponse()
            return instead or (answer.status, answer.read())
        finally:
            connection.close()


def refusal(code: str, *reasons: str) -> tuple[int, bytes]:
    """Return DynamoDB's refusal; reasons: of a transaction."""
    body: dict[str, Any] = {"__type": f"com.amazonaws.dynamodb.v20120810#{code}", "message": "secret words of AWS"}
    if reasons:
        body["CancellationReasons"] = [{"Code": reason} for reason in reasons]
    return 400, json.dumps(body).encode()


@contextmanager
def relay_before(url: str) -> Iterator[tuple[Relay, str]]:
    relay = Relay(url)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            status, answer = relay.answer(dict(self.headers), body)
            if not status:
                self.close_connection = True
                return
            self.send_response(status)
            self.send_header("Content-Type", "application/x-amz-json-1.0")
            self.send_header("Content-Length", str(len(answer)))
            if answer.startswith(b"{"):
                self.send_header("x-amzn-RequestId", "relayed")
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *arguments: Any) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    with serving(server):
        yield relay, f"http://127.0.0.1:{server.server_port}"
