"""Planfix's REST API (https://help.planfix.com/restapidocs/)."""

import html
import re
import ssl
import time
from collections.abc import Callable
from functools import cache
from typing import Any

import httpx

from agreement_desk.task import PAGE, PlanfixError, Task

FIELDS = "id,name,description,parent"
NAME_CONTAINS, PARENT_IS = 8, 73  # filter types
RATE_LIMITED = 22  # one request a second
WAITS = (1.0, 1.0, 2.0, 4.0)  # seconds before each new attempt
TIMEOUT = httpx.Timeout(10.0, connect=3.0)


class RestApi:
    """token: itself, or what reads it when it is needed."""

    def __init__(
        self,
        url: str,
        token: str | Callable[[], str],
        *,
        timeout: httpx.Timeout = TIMEOUT,
        waits: tuple[float, ...] = WAITS,
    ) -> None:
        self._url, self._timeout, self._waits = url, timeout, waits
        self._token = token if callable(token) else lambda: token

    def create_task(self, name: str, description: str = "", parent_id: int | None = None) -> int:
        body: dict[str, Any] = {"name": name, "description": _to_html(description)}
        if parent_id is not None:
            body["parent"] = {"id": parent_id}
        where = "a new task" if parent_id is None else f"a new task under task {parent_id}"
        return _id(self._call(where, "POST", "task/", body))

    def get_task(self, task_id: int) -> Task:
        return _task(self._call(f"task {task_id}", "GET", f"task/{task_id}?fields={FIELDS}").get("task"))

    def list_tasks(self, text: str = "", parent_id: int | None = None) -> list[Task]:
        wanted = ((NAME_CONTAINS, text or None), (PARENT_IS, parent_id))
        filters = [{"type": t, "operator": "equal", "value": v} for t, v in wanted if v is not None]
        body = {"offset": 0, "pageSize": PAGE, "fields": FIELDS, "filters": filters}
        tasks = self._call("the list of tasks", "POST", "task/list", body).get("tasks")
        return sorted(map(_task, tasks if isinstance(tasks, list) else [None]), key=lambda task: task.id)

    def update_task(self, task_id: int, name: str | None = None, description: str | None = None) -> None:
        markup = None if description is None else _to_html(description)
        changes = {key: text for key, text in (("name", name), ("description", markup)) if text is not None}
        self._call(f"task {task_id}", "POST", f"task/{task_id}", changes)

    def add_comment(self, task_id: int, text: str) -> int:
        body = {"description": _to_html(text)}
        return _id(self._call(f"a comment on task {task_id}", "POST", f"task/{task_id}/comments/", body))

    def _call(self, what: str, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """Ask, and wait a bounded time while Planfix says that it is asked too often."""
        answer = self._send(method, path, body)
        for seconds in self._waits:
            if answer.get("code") != RATE_LIMITED:
                break
            time.sleep(seconds)
            answer = self._send(method, path, body)
        if answer.get("result") == "fail":
            reason = str(answer.get("error")).replace(self._token(), "***")[:200]
            raise PlanfixError(f"Planfix refused {what}: {reason} (code {answer.get('code')})")
        return answer

    def _send(self, method: str, path: str, body: dict[str, Any] | None) -> dict[str, Any]:
        """A new connection each time: Lambda freezes and SnapStart clones one that is kept."""
        headers = {"Authorization": f"Bearer {self._token()}"}
        try:
            with httpx.Client(base_url=self._url, headers=headers, timeout=self._timeout, verify=_tls()) as client:
                return _answer(client.request(method, path, json=body))
        except httpx.TimeoutException:
            raise PlanfixError("Planfix did not answer in time; a change may or may not have been made") from None
        except (httpx.HTTPError, httpx.InvalidURL) as error:  # its own text may hold the token
            raise PlanfixError(f"Planfix could not be reached ({type(error).__name__})") from None
        except UnicodeError:
            raise PlanfixError("Planfix cannot be sent this text: it holds an invalid character") from None


@cache
def _tls() -> ssl.SSLContext:
    """34 ms to build, and no connection in it."""
    return httpx.create_ssl_context()


def _answer(response: httpx.Response) -> dict[str, Any]:
    try:
        answer = response.json() if response.content else {}  # an update may be answered with nothing
    except ValueError:
        answer = None
    refused = isinstance(answer, dict) and answer.get("result") == "fail"
    if not refused and not response.is_success:
        raise PlanfixError(f"Planfix answered HTTP {response.status_code}")
    if not isinstance(answer, dict):
        raise PlanfixError("Planfix answered with something that is not a JSON object")
    return answer


def _id(data: Any) -> int:
    try:
        return int(data["id"])
    except (KeyError, TypeError, ValueError):
        raise PlanfixError("Planfix answered without an id") from None


def _task(data: Any) -> Task:
    task_id, parent = _id(data), data.get("parent")
    name, description = (str(data.get(key) or "") for key in ("name", "description"))
    return Task(task_id, name, _to_text(description), _id(parent) or None if parent else None)


def _to_html(text: str) -> str:
    """Descriptions and comments are HTML in Planfix."""
    return html.escape(text, quote=False).replace("\n", "<br>")


def _to_text(markup: str) -> str:
    lines = re.sub(r"(?i)<br\s*/?>|</(?:p|div|li)>", "\n", markup)
    return html.unescape(re.sub(r"<[^<>]*>", "", lines))
