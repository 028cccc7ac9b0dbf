"""The Runtime API of Lambda."""

import json
import traceback
from collections.abc import Mapping
from contextlib import closing
from http.client import HTTPConnection
from typing import Any, NamedTuple

_RUNTIME = "/2018-06-01/runtime"
_LONGEST = 10_000  # characters of an error's message


class Event(NamedTuple):
    """An invocation. The names of headers are in lower case."""

    request_id: str
    body: bytes
    headers: Mapping[str, str]


class RuntimeApi:
    """Opens a connection per request: one that is kept would be frozen and restored.

    Its methods raise OSError, HTTPException, and RuntimeError for a status other than 2xx.
    """

    def __init__(self, address: str) -> None:
        self.address = address

    def next(self) -> Event:
        """Wait without limit for the next invocation."""
        headers, body = self._request("GET", "/invocation/next")
        return Event(headers["lambda-runtime-aws-request-id"], body, headers)

    def report_error(self, path: str, error: BaseException, kind: str | None = None) -> None:
        """Report that `/init`, `/restore` or `/invocation/ID` failed. `kind` is AWS's name for it."""
        payload = error_payload(error)
        kind = kind or payload["errorType"]
        headers = {"Content-Type": "application/json", "Lambda-Runtime-Function-Error-Type": kind}
        self._request("POST", f"{path}/error", json.dumps(payload).encode(), headers)

    def restore_next(self) -> None:
        """Let Lambda take the snapshot; returns after each restore."""
        self._request("GET", "/restore/next")

    def _request(
        self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> tuple[dict[str, str], bytes]:
        with closing(HTTPConnection(self.address)) as connection:
            connection.request(method, _RUNTIME + path, body, headers or {})
            response = connection.getresponse()
            content = response.read()
        if not 200 <= response.status < 300:
            raise RuntimeError(f"{method} {path}: the Runtime API answered {response.status} {content[:500]!r}")
        return {name.lower(): value for name, value in response.getheaders()}, content


def error_payload(error: BaseException) -> dict[str, Any]:
    """Return an error in Lambda's format; `errorType` is a header too, so it is ASCII."""
    return {
        "errorMessage": str(error)[:_LONGEST],
        "errorType": type(error).__name__.encode("ascii", "replace").decode(),
        "stackTrace": traceback.format_list(traceback.extract_tb(error.__traceback__)),
    }
