"""Promises about every agency in `agents/`, offline: the offline model answers, and no tool is run.

What an agency asks a person is approved.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from agency_lambda import catalogue
from agency_lambda.app import create_app
from agency_lambda.catalogue.check import Finding, survey
from agency_lambda.framework.isolation import isolate
from agency_lambda.run_service import get_run_service
from agency_lambda.runs import worker
from agency_lambda.runs.leases import Leases
from agency_lambda.testing import crash
from agency_lambda.testing.offline_run import Calls, record
from agency_lambda.testing.replay import replayed
from agency_lambda.testing.service import Service, default_settings, services

if TYPE_CHECKING:
    from agency_swarm import Agency

__all__ = [
    "agency",
    "calls",
    "service",
    "test_it_answers",
    "test_it_builds_anew",
    "test_it_loses_no_tool",
    "test_it_refuses_nonsense",
    "test_it_resumes_after_a_crash_without_asking_twice",
    "test_it_streams_in_order",
    "test_it_tells_no_prompt",
    "test_no_path_begins_with_its_name",
]
QUESTION = "Hello! What can you do for me?"
SHORTEST_LINE = 20  # characters of an instruction that are looked for; shorter ones are anybody's words


@pytest.fixture(params=list(catalogue.factories()), scope="module")
def agency(request: pytest.FixtureRequest) -> str:
    _findings()  # now, for paths relative to the folder that pytest was started in
    return str(request.param)


@pytest.fixture
def service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    """The service with the default settings; what is stored or written lies in a temporary folder."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(path for path in sys.path if path))
    monkeypatch.chdir(tmp_path)
    with default_settings(monkeypatch, tmp_path), services(monkeypatch) as start:
        yield start()


@pytest.fixture
def calls(agency: str, monkeypatch: pytest.MonkeyPatch) -> Calls:
    """Record what runs call; skip an agency that cannot run offline, and say why."""
    if reason := _needs_more(agency):
        pytest.skip(reason)
    return record(monkeypatch)


def test_it_loses_no_tool(agency: str) -> None:
    finding = _findings()[agency]
    assert finding.problem is None
    if finding.variables:
        pytest.skip("; ".join(finding.lacks))
    assert finding.description is not None
    for agent in finding.description["agents"]:
        assert len(agent["tools"]) == len({*agent["tools"]}), f"two tools of {agent['name']} have one name"


def test_no_path_begins_with_its_name(service: Service, agency: str) -> None:
    create_app().refuse_names([agency])


def test_it_builds_anew(agency: str, calls: Calls) -> None:
    one, other = _for_a_run(agency), _for_a_run(agency)
    assert one.thread_manager is not other.thread_manager
    assert [*one.agents] == [*other.agents]
    for name, agent in one.agents.items():
        assert agent is not other.agents[name], f"{name} is one for all runs"


def test_it_answers(service: Service, agency: str, calls: Calls) -> None:
    responses = [service.respond(agency, QUESTION)]
    while requests := _requests(responses[-1]):
        before = responses[-1]["id"]
        responses.append(service.respond(agency, [*map(_approval, requests)], previous_response_id=before))
    assert {response["status"] for response in responses} == {"completed"}, responses
    assert _text(responses[-1]["output"]).strip()
    assert sum(response["usage"]["model_calls"] for response in responses) == len(calls.models)
    known = {(agent["name"], tool) for agent in catalogue.description(agency)["agents"] for tool in agent["tools"]}
    assert {*calls.tools} <= known


def test_it_streams_in_order(service: Service, agency: str, calls: Calls) -> None:
    events = service.respond(agency, QUESTION, stream=True)
    assert (events[0]["type"], events[-1]["type"]) == ("response.created", "response.completed")
    assert replayed(events) == events[-1]["response"]["output"]


def test_it_resumes_after_a_crash_without_asking_twice(service: Service, agency: str, calls: Calls) -> None:
    waits = bool(_requests(service.respond(agency, QUESTION)))
    whole, tools = len(calls.models), len(calls.tools)
    status, run = service.post("/v1/responses", {"model": agency, "input": QUESTION, "background": True})
    assert (status, run["status"]) == (200, "queued")
    _crash(run["id"], whole - 1)
    assert (len(calls.models), len(calls.tools)) == (whole, tools)
    service.handler.run(_expire(run["id"]))
    service.handler.run(worker.work(get_run_service(), run["id"]))
    response = service.get(f"/v1/responses/{run['id']}")[1]
    assert response["status"] == ("in_progress" if waits else "completed"), response
    assert len(calls.models) == whole + 1, "a model call that was answered is made again"
    assert len(calls.tools) == tools, "a tool that had finished is called again"


def test_it_tells_no_prompt(service: Service, agency: str, calls: Calls) -> None:
    answers = [
        json.dumps(service.respond(agency, QUESTION), ensure_ascii=False),
        json.dumps(service.respond(agency, QUESTION, stream=True), ensure_ascii=False),
        *(json.dumps(service.get(path), ensure_ascii=False) for path in ("/agencies", "/v1/models")),
    ]
    assert calls.instructions
    for line in (line.strip() for text in calls.instructions for line in text.splitlines()):
        if len(line) >= SHORTEST_LINE:
            assert not any(json.dumps(line, ensure_ascii=False)[1:-1] in text for text in answers), line


def test_it_refuses_nonsense(service: Service, agency: str) -> None:
    if lacks := _findings()[agency].lacks:
        pytest.skip("; ".join(lacks))
    ask = {"model": agency, "input": QUESTION}
    assert service.post("/v1/responses", {**ask, "model": f"{agency}/Nobody at all"})[0] == 404
    assert service.post("/v1/responses", {**ask, "no_such_parameter": 1})[0] == 400
    assert service.post("/v1/responses", "not json")[0] == 400
    assert service.post("/completion", {"agency": agency, "message": "  "})[0] == 422


def _for_a_run(name: str) -> "Agency":
    built = catalogue.build(catalogue.factories()[name])
    isolate(built)
    return built


@cache
def _findings() -> dict[str, Finding]:
    return {each.name: each for each in survey(fill=True)}


def _needs_more(name: str) -> str | None:
    """Return what an agency needs beyond the offline model; building it here may also fail, which is a failed test."""
    from agents import Model

    if lacks := _findings()[name].lacks:
        return "; ".join(lacks)
    for agent in catalogue.build(catalogue.factories()[name]).agents.values():
        if isinstance(agent.model, Model):
            return f"agency {name!r}: the model of {agent.name} is an object of its own, which asks over the network"
        if agent.mcp_servers:
            return f"agency {name!r}: {agent.name} has MCP servers, which are processes or machines of their own"
    return None


def _requests(response: Any) -> list[dict[str, Any]]:
    """Return what a person is asked."""
    return [item for item in response["output"] if item["type"] == "mcp_approval_request"]


def _approval(request: dict[str, Any]) -> dict[str, Any]:
    return {"type": "mcp_approval_response", "approval_request_id": request["id"], "approve": True}


def _text(output: list[dict[str, Any]]) -> str:
    messages = [item for item in output if item["type"] == "message"]
    return "".join(part.get("text", "") for part in messages[-1]["content"]) if messages else ""


def _crash(run: str, calls: int) -> None:
    """Work on a run in a process that ends before the model call after `calls`."""
    command = [sys.executable, "-m", crash.__name__, run, str(calls)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == crash.EXIT_CODE, done.stderr


async def _expire(run: str) -> None:
    store = get_run_service().store
    lease = await Leases(store).find(run)
    assert lease is not None
    await store.write(lease.put(until=time.time() - 1))
