"""Planfix's REST API on loopback, as far as its public clients describe it."""

import json
import re
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

TOKEN = "planfix-token-for-tests"


class Fail(Exception):
    def __init__(self, code: int, error: str, status: int = 400) -> None:
        self.answer, self.status = {"result": "fail", "code": code, "error": error}, status


class PlanfixServer(ThreadingHTTPServer):
    """`interval`: seconds between two accepted requests. `fault`: answers instead, as in `garbage` below."""

    daemon_threads = True

    def __init__(self, interval: float = 0.0) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_port}/rest/"
        self.interval, self.accepted_at = interval, float("-inf")
        self.fault: Callable[[Handler], None] | None = None
        self.tasks: dict[int, dict[str, Any]] = {}
        self.comments: list[tuple[int, str]] = []
        self.requests: list[str] = []
        self.lock, self.closing = threading.Lock(), threading.Event()

    def __enter__(self) -> Self:
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.closing.set()
        self.shutdown()
        self.server_close()

    def answer(self, method: str, path: str, query: dict[str, list[str]], body: dict[str, Any]) -> Any:
        self._limit()
        match method, re.fullmatch(r"/rest/task/(list|\d*)(/comments/)?", path):
            case "POST", found if found and found[1] == "list":
                return {"result": "success", "tasks": self._list(body)}
            case "POST", found if found and not found[1]:
                return {"result": "success", "id": self._create(body)}
            case "GET", found if found and not found[2]:
                return {"result": "success", "task": _fields(self._task(found[1]), query["fields"][0])}
            case "POST", found if found and found[2]:
                self.comments.append((self._task(found[1])["id"], body["description"]))
                return {"result": "success", "id": len(self.comments)}
            case "POST", found if found:
                self._task(found[1]).update(body)
                return None  # an update that was made may be answered with nothing
        raise Fail(0, "Unknown error", status=404)

    def _limit(self) -> None:
        now = time.monotonic()
        if now - self.accepted_at < self.interval:
            raise Fail(22, "Rate limit exceeded", status=429)
        self.accepted_at = now

    def _task(self, task_id: Any) -> dict[str, Any]:
        if int(task_id) not in self.tasks:
            raise Fail(1000, "Task does not exist")
        return self.tasks[int(task_id)]

    def _create(self, body: dict[str, Any]) -> int:
        parent = {"id": self._task(body["parent"]["id"])["id"]} if "parent" in body else None
        task_id = 100 + len(self.tasks)
        self.tasks[task_id] = {"id": task_id, "description": "", **body, "parent": parent}
        return task_id

    def _list(self, body: dict[str, Any]) -> list[dict[str, Any]]:
        if body["pageSize"] > 100:
            raise Fail(41, "pageSize is at most 100")
        found = list(reversed(self.tasks.values()))  # in no order to rely on
        for wanted in body["filters"]:
            match wanted:
                case {"type": 8, "operator": "equal", "value": str(text)}:  # "equal" means "contains" here
                    found = [task for task in found if text.casefold() in task["name"].casefold()]
                case {"type": 73, "operator": "equal", "value": int(parent)}:
                    found = [task for task in found if task["parent"] == {"id": parent}]
                case _:
                    raise Fail(41, "Invalid filter")
        return [_fields(task, body["fields"]) for task in found[body["offset"] :][: body["pageSize"]]]


class Handler(BaseHTTPRequestHandler):
    server: PlanfixServer

    def do_POST(self) -> None:
        size = int(self.headers.get("Content-Length", 0))
        self._serve("POST", json.loads(self.rfile.read(size) or "{}"))

    def do_GET(self) -> None:
        self._serve("GET", {})

    def _serve(self, method: str, body: dict[str, Any]) -> None:
        url = urlsplit(self.path)
        with self.server.lock:
            self.server.requests.append(f"{method} {url.path}")
        if self.server.fault:
            return self.server.fault(self)
        try:
            if self.headers["Authorization"] != f"Bearer {TOKEN}":
                raise Fail(1, f"Invalid token {self.headers['Authorization']}", status=401)
            with self.server.lock:
                self.reply(200, self.server.answer(method, url.path, parse_qs(url.query), body))
        except Fail as fail:
            self.reply(fail.status, fail.answer)

    def reply(self, status: int, answer: Any) -> None:
        content = answer if isinstance(answer, bytes) else b"" if answer is None else json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None: ...


def _fields(task: dict[str, Any], names: str) -> dict[str, Any]:
    return {name: task[name] for name in names.split(",")}


def garbage(handler: Handler) -> None:
    handler.reply(200, b"<html>Maintenance</html>")


def a_list(handler: Handler) -> None:
    handler.reply(200, [1, 2])


def no_content(handler: Handler) -> None:
    handler.reply(200, {"result": "success"})


def server_error(handler: Handler) -> None:
    handler.reply(500, b"Traceback (most recent call last)")


def redirect(handler: Handler) -> None:
    handler.send_response(302)
    handler.send_header("Location", "http://127.0.0.1:9/elsewhere")
    handler.send_header("Content-Length", "0")
    handler.end_headers()


def hang_up(handler: Handler) -> None:
    handler.connection.close()


def silence(handler: Handler) -> None:
    handler.server.closing.wait(30)
