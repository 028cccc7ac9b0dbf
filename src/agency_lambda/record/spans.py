"""Spans of an ended run, by OpenTelemetry's semantic conventions for generative AI."""

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agency_lambda.errors import detail_code
from agency_lambda.owner_digest import owner_digest
from agency_lambda.protocol.ids import created_microseconds
from agency_lambda.protocol.response_object import ResponseObject
from agency_lambda.record import span_messages
from agency_lambda.record.nodes import Node

_HEX_ID = re.compile(r"resp_([0-9a-f]{32})")
_OPERATIONS = {
    "agent": "invoke_agent",
    "model_call": "chat",
    "tool_call": "execute_tool",
    "message": "execute_tool",
}
_SEND_MESSAGE = "send_message"  # the tool by which agents ask each other
_PROVIDERS = {"claude": "anthropic", "gemini": "gcp.gemini", "offline": "offline"}  # prefix of a model -> its provider


@dataclass(frozen=True, kw_only=True)
class Span:
    """started_at, ended_at: Unix seconds. error: what kind of failure. parent_id: None for the run itself."""

    name: str
    span_id: int
    parent_id: int | None
    is_client: bool
    started_at: float
    ended_at: float
    attributes: Mapping[str, str | int | float | bool]
    error: str | None


def trace_id(response_id: str) -> int:
    """Return the run's trace id: the hexadecimal digits of the response's id."""
    found = _HEX_ID.fullmatch(response_id)
    return int(found[1] if found else hashlib.sha256(response_id.encode()).hexdigest()[:32], 16)


def build_spans(trace: Mapping[str, Any], response: ResponseObject, owner: str) -> list[Span]:
    """Return the spans of a trace, the run's first. The same run has the same ids each time."""
    return list(_Spans(trace, response, owner).build())


class _Spans:
    def __init__(self, trace: Mapping[str, Any], response: ResponseObject, owner: str) -> None:
        self._trace, self._response, self._owner = trace, response, owner
        self._began = (created_microseconds(response["id"]) or response["created_at"] * 10**6) / 10**6

    def build(self) -> Iterator[Span]:
        root, response, started_at = self._trace["root"], self._response, self._began
        ended_at = max(root["ended_at"] or 0.0, response["completed_at"] or 0.0, started_at)
        yield Span(
            name=f"invoke_workflow {self._agency}",
            span_id=self._span_id("run"),
            parent_id=None,
            is_client=False,
            started_at=started_at,
            ended_at=ended_at,
            attributes=self._of_run(),
            error=detail_code(response["error"]) if response["error"] else None,
        )
        yield from self._below(root, "run", "0", (started_at, ended_at))

    @property
    def _agency(self) -> str:
        return str(self._response["model"]).partition("/")[0]

    def _span_id(self, path: str) -> int:
        # 0 is no span's id.
        return int(hashlib.sha256(f"{self._response['id']}/{path}".encode()).hexdigest()[:16], 16) or 1

    def _below(self, node: Node, parent: str, path: str, times: tuple[float, float]) -> Iterator[Span]:
        started_at = times[0] if node["started_at"] is None else node["started_at"]
        ended_at = max(started_at, times[1] if node["ended_at"] is None else node["ended_at"])
        yield Span(
            name=_name(node),
            span_id=self._span_id(path),
            parent_id=self._span_id(parent),
            is_client=node["type"] == "model_call",
            started_at=started_at,
            ended_at=ended_at,
            attributes=_given({**self._common(), **_of_node(node), **span_messages.contents(node)}),
            error="failed" if node["status"] == "failed" else None,
        )
        for number, child in enumerate(node["children"]):
            if self._is_of_response_before(child):
                continue
            yield from self._below(child, path, f"{path}.{number}", (started_at, ended_at))

    def _is_of_response_before(self, node: Node) -> bool:
        # Its spans are sent with that response.
        return "continues" in self._trace and node["ended_at"] is not None and node["ended_at"] <= self._began

    def _common(self) -> dict[str, Any]:
        conversation = self._response.get("conversation")
        return {
            "gen_ai.conversation.id": conversation and conversation["id"],
            "agency_lambda.response_id": self._response["id"],
            "agency_lambda.agency": self._agency,
            "agency_lambda.owner": owner_digest(self._owner),
        }

    def _of_run(self) -> Mapping[str, Any]:
        usage = self._response["usage"] or {}
        of_run = {
            "gen_ai.operation.name": "invoke_workflow",
            "gen_ai.workflow.name": self._agency,
            "agency_lambda.status": self._response["status"],
            "agency_lambda.attempts": self._trace["attempts"],
            "agency_lambda.model_calls": usage.get("model_calls"),
            "agency_lambda.usd": self._trace["usd"],
        }
        return _given({**self._common(), **of_run})


def _name(node: Node) -> str:
    tool = _SEND_MESSAGE if node["type"] == "message" else None
    return f"{_OPERATIONS[node['type']]} {tool or node['name'] or 'unknown'}"


def _of_node(node: Node) -> dict[str, Any]:
    named = {
        "gen_ai.operation.name": _OPERATIONS[node["type"]],
        "gen_ai.agent.name": node["agent"],
        "agency_lambda.attempt": node["attempt"],
        "agency_lambda.replayed": node["replayed"],
        "agency_lambda.status": node["status"],
        "agency_lambda.usd": node["usd"],
    }
    if node["type"] == "model_call":
        model = node["model"]
        return named | {
            "gen_ai.provider.name": _provider(model),
            "gen_ai.request.model": model,
            "gen_ai.response.model": model,
            "gen_ai.usage.input_tokens": node["input_tokens"],
            "gen_ai.usage.output_tokens": node["output_tokens"],
        }
    if node["type"] == "agent":
        return named
    is_message = node["type"] == "message"
    return named | {
        "gen_ai.tool.name": _SEND_MESSAGE if is_message else node["name"],
        "gen_ai.tool.type": "function",
        "agency_lambda.recipient": node["name"] if is_message else None,
        "agency_lambda.message.response_id": node["run"]["response_id"] if "run" in node else None,
        **_of_approval(node.get("approvals", ())),
    }


def _of_approval(approvals: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the outcome of the last approval, and how long a person had the run wait."""
    if not approvals:
        return {}
    waited = sum(each["decided_at"] - each["asked_at"] for each in approvals if each["decided_at"])
    return {
        "agency_lambda.approval.status": approvals[-1]["status"],
        "agency_lambda.approval.as": approvals[-1]["as"],
        "agency_lambda.approval.waited_seconds": waited,
    }


def _provider(model: str | None) -> str:
    vendor, slash, _ = (model or "").partition("/")
    return vendor if slash else next((found for each, found in _PROVIDERS.items() if vendor.startswith(each)), "openai")


def _given(attributes: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in attributes.items() if value is not None}
