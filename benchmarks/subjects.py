"""Who is measured: what people would run instead, the floors beneath both, and this project; with a first request."""

from hashlib import sha256
from pathlib import Path
from typing import Any
from uuid import uuid4

from agency_lambda.testing.events import rest_event
from benchmarks import task_roots
from benchmarks.environment import Request, Subject, costs

OURS = "agency-lambda"
AS_PIP_SHIPS_IT, WITH_BYTECODE = "run_fastapi, as pip ships it", "run_fastapi, with bytecode"
BARE, MANGUM, OPENAI = "bare handler", "FastAPI + Mangum", "openai + FastAPI + Mangum"
MESSAGE = {"message": "Client Nordwind asks for a date."}
_LETTER = "the crew comes on Monday"
_KEY = "al_benchmark"

type Case = tuple[Subject, Request]


def as_pip_ships_it() -> Case:
    return Subject(AS_PIP_SHIPS_IT, task_roots.as_pip_ships_it(), "served_by_run_fastapi.handler"), _get_response()


def with_bytecode() -> Case:
    return Subject(WITH_BYTECODE, task_roots.with_bytecode(), "served_by_run_fastapi.handler"), _get_response()


def floors() -> list[Case]:
    """Return the floors, from the lowest up."""
    root, request = task_roots.floors(), Request(_event("POST", "/echo", MESSAGE), 200, "echo")
    names = {BARE: "bare", MANGUM: "echo", OPENAI: "openai_echo"}
    return [(Subject(name, root, f"{module}.handler"), request) for name, module in names.items()]


def ours(folder: Path, request: Request, name: str = OURS, **variables: str) -> Case:
    """Return this project as it is deployed, with keys; its store is a new file in the folder unless STORE is given."""
    keys = f"benchmark:{sha256(_KEY.encode()).hexdigest()}"
    known = {"API_KEYS": keys, "STORE": f"sqlite:///{folder}/{uuid4().hex}.db", **variables}
    return Subject(name, task_roots.agency_lambda(), "handler.api.handler", known), request


def completion(agency: str = "bench") -> Request:
    return Request(_event("POST", "/completion", {**MESSAGE, "agency": agency}), 200, _LETTER)


def health() -> Request:
    return Request(_event("GET", "/health"), 200, "ok")


def polling(response_id: str) -> Request:
    return Request(_event("GET", f"/v1/responses/{response_id}"), 200, _LETTER)


def submitting() -> Request:
    """A run that a worker will do; QUEUE has to be an SQS queue."""
    return Request(_event("POST", "/v1/responses", _asked(background=True)), 200, '"queued"')


def stored_response(folder: Path, **variables: str) -> str:
    """The id of a response that another process has left in the store."""
    (told,) = costs(*ours(folder, Request(_event("POST", "/v1/responses", _asked()), 200, _LETTER), **variables))
    return str(told.body.partition('"id":"')[2].partition('"')[0])


def _asked(**more: Any) -> dict[str, Any]:
    return {"model": "bench", "input": MESSAGE["message"], **more}


def _get_response() -> Request:
    return Request(_event("POST", "/bench/get_response", MESSAGE), 200, _LETTER)


def _event(method: str, path: str, body: Any = None) -> dict[str, Any]:
    return rest_event(method, path, body, authorization=f"Bearer {_KEY}")
