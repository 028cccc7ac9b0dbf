"""The Runtime API of Lambda: where invocations come from, and where errors are reported."""

import json
import traceback
from collections.abc import Mapping
from contextlib import closing
from http.client import HTTPConnection
from typing import Any, NamedTuple

_RUNTIME = "/2018-06-01/runtime"
_LONGEST = 10_000  # characters of an error's message


class Event(NamedTuple):
    """An invocation. headers: of the Runtime API, their names in lower case."""

    request_id: str
    body: bytes
    headers: Mapping[str, str]


class RuntimeApi:
    """A connection for each question: one that is kept would have to outlast the freezes, and a snapshot.

    Raises OSError, http.client.HTTPException and RuntimeError (what was answered): without it there is nothing to do.
    """

    def __init__(self, address: str) -> None:
        self.address = address

    def next(self) -> Event:
        """Wait for the next invocation, for as long as it takes: the environment is frozen meanwhile."""
        headers, body = self._ask("GET", "/invocation/next")
        return Event(headers["lambda-runtime-aws-request-id"], body, headers)

    def report_error(self, path: str, error: BaseException, kind: str | None = None) -> None:
        """Say that `/init`, `/restore` or `/invocation/ID` failed. kind: AWS's name for it, if it has one."""
        told = described(error)
        headers = {"Content-Type": "application/json", "Lambda-Runtime-Function-Error-Type": kind or told["errorType"]}
        self._ask("POST", f"{path}/error", json.dumps(told).encode(), headers)

    def restore_next(self) -> None:
        """Say that a snapshot may be taken; returns in each environment that was restored from it."""
        self._ask("GET", "/restore/next")

    def _ask(
        self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> tuple[dict[str, str], bytes]:
        with closing(HTTPConnection(self.address)) as connection:
            connection.request(method, _RUNTIME + path, body, headers or {})
            answer = connection.getresponse()
            content = answer.read()
        if not 200 <= answer.status < 300:
            raise RuntimeError(f"{method} {path}: the Runtime API answered {answer.status} {content[:500]!r}")
        return {name.lower(): value for name, value in answer.getheaders()}, content


def described(error: BaseException) -> dict[str, Any]:
    """An error as Lambda has it: `{"errorMessage", "errorType", "stackTrace"}`; the type is a header's value too."""
    return {
        "errorMessage": str(error)[:_LONGEST],
        "errorType": type(error).__name__.encode("ascii", "replace").decode(),
        "stackTrace": traceback.format_list(traceback.extract_tb(error.__traceback__)),
    }
