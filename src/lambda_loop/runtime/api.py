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
    """An invocation as the Runtime API sends it. The names of headers are in lower case."""

    request_id: str
    body: bytes
    headers: Mapping[str, str]


class RuntimeApi:
    """A client that opens a connection per request, because one that is kept would be frozen and restored.

    Its methods raise OSError, http.client.HTTPException, and RuntimeError for a status other than 2xx.
    """

    def __init__(self, address: str) -> None:
        self.address = address

    def next(self) -> Event:
        """Wait for the next invocation, without limit: Lambda freezes the environment meanwhile."""
        headers, body = self._request("GET", "/invocation/next")
        return Event(headers["lambda-runtime-aws-request-id"], body, headers)

    def report_error(self, path: str, error: BaseException, kind: str | None = None) -> None:
        """Report that `/init`, `/restore` or `/invocation/ID` failed; `kind` is AWS's name for it, if there is one."""
        payload = error_payload(error)
        kind = kind or payload["errorType"]
        headers = {"Content-Type": "application/json", "Lambda-Runtime-Function-Error-Type": kind}
        self._request("POST", f"{path}/error", json.dumps(payload).encode(), headers)

    def restore_next(self) -> None:
        """Let Lambda take the snapshot, and return in each environment that is restored from it."""
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
    """Return an error in Lambda's format. `errorType` is ASCII, because it is a header's value too."""
    return {
        "errorMessage": str(error)[:_LONGEST],
        "errorType": type(error).__name__.encode("ascii", "replace").decode(),
        "stackTrace": traceback.format_list(traceback.extract_tb(error.__traceback__)),
    }
