"""The service behind each of its entry points: streamed and buffered on Lambda, and under uvicorn."""

import json
import socket
import subprocess
import sys
import time
from base64 import b64decode, b64encode
from contextlib import suppress
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, NamedTuple, Self
from urllib.parse import parse_qs, unquote

from agency_lambda.testing.events import rest_event
from tests.library.runtime.environments import KEY, Environment, task_root, variables
from tests.library.runtime.runtime_api import RuntimeApi


class Case(NamedTuple):
    """A request. In path and body `{name}` stands for what an earlier answer had there; keep: (name, its regex)."""

    method: str
    path: str
    body: Any = None
    keep: tuple[str, str] | None = None
    key: str = KEY
    content_type: str = "application/json"
    accept: str = ""

    @property
    def headers(self) -> dict[str, str]:
        headers = {"content-type": self.content_type, "host": "localhost"}
        headers |= {"accept": self.accept} if self.accept else {}
        return {**headers, "authorization": f"Bearer {self.key}"} if self.key else headers

    @property
    def text(self) -> str | bytes | None:
        return self.body if self.body is None or isinstance(self.body, str | bytes) else json.dumps(self.body)

    @property
    def event(self) -> dict[str, Any]:
        path, _, query = self.path.partition("?")
        text, is_binary = self.text, isinstance(self.text, bytes)
        encoded = b64encode(text).decode() if isinstance(text, bytes) else text
        event = rest_event(self.method, unquote(path), encoded, **self.headers)
        return {**event, "multiValueQueryStringParameters": parse_qs(query) or None, "isBase64Encoded": is_binary}


class Answer(NamedTuple):
    status: int
    headers: list[tuple[str, str]]
    body: bytes


class Streamed:
    """Our runtime client, on a Runtime API of the tests."""

    def __init__(self, folder: Path) -> None:
        self._api = RuntimeApi()
        self._folder = folder

    def __enter__(self) -> Self:
        self._api.__enter__()
        self._environment = Environment(self._api, self._folder, "handler.stream.handler")
        return self

    def __exit__(self, *_: object) -> None:
        self._environment.__exit__()
        self._api.__exit__()
        assert self._api.violations == []

    def ask(self, case: Case) -> Answer:
        invocation = self._api.invoke(case.event, 60)
        assert not invocation.trailers, invocation.cut
        return Answer(invocation.status, invocation.pairs, invocation.body)


class Process:
    """A Python process with the settings that the function has."""

    def __init__(self, folder: Path, *arguments: str, **more: str) -> None:
        root = task_root(folder)
        self._process = subprocess.Popen(
            [sys.executable, *arguments],
            cwd=root,
            env=variables(folder, PYTHONPATH=str(root), **more),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()


class Buffered(Process):
    """handler.api.handler."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, "-m", "buffered")

    def ask(self, case: Case) -> Answer:
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin
        assert stdout
        stdin.write(json.dumps(case.event) + "\n")
        stdin.flush()
        line = next(line for line in stdout if line.startswith("ANSWER "))
        response = json.loads(line.removeprefix("ANSWER "))
        several = [(name, value) for name, values in response["multiValueHeaders"].items() for value in values]
        body = b64decode(response["body"]) if response["isBase64Encoded"] else response["body"].encode()
        return Answer(response["statusCode"], sorted([*response["headers"].items(), *several]), body)


class Served(Process):
    """uvicorn, as `make run` starts it."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self._port = free.getsockname()[1]
        super().__init__(folder, "-m", "handler.local", PORT=str(self._port))

    def __enter__(self) -> Self:
        for _ in range(200):
            with suppress(OSError):
                self.ask(Case("GET", "/health"))
                return self
            time.sleep(0.1)
        raise TimeoutError("uvicorn does not answer")

    def ask(self, case: Case) -> Answer:
        connection = HTTPConnection("127.0.0.1", self._port, timeout=60)
        try:
            text = case.text
            body = text.encode() if isinstance(text, str) else text
            connection.request(case.method, case.path, body, case.headers)
            answer = connection.getresponse()
            return Answer(answer.status, sorted((n.lower(), v) for n, v in answer.getheaders()), answer.read())
        finally:
            connection.close()
