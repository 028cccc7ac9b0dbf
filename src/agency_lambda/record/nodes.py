"""The nodes of a trace. Callers may see all but what `contents_of_...` returns."""

import json
from collections.abc import Iterator, Sequence
from typing import Any

from agency_lambda.record.rows import ApprovalRow, MessageRow, ModelCallRow, ToolCallRow
from agency_lambda.record.run_record import RunRecord
from agency_lambda.runs.model import StoredResponse
from agency_lambda.runs.run_index import error_code

Node = dict[str, Any]


def agent(name: str | None, children: list[Node], status: str | None) -> Node:
    last = children[-1]["status"] if children else "completed"
    return _node("agent", name, name, children, status=status or last)


def model_call(agent: str, row: ModelCallRow, replayed: bool | None, usd: float | None) -> Node:
    tokens = {name: row.usage.get(name) or 0 for name in ("input_tokens", "output_tokens")}
    node = _node("model_call", row.model, agent, [], status=row.status, attempt=row.attempt, replayed=replayed)
    node |= {"model": row.model, "started_at": row.started_at, "ended_at": row.ended_at, **tokens, "usd": usd}
    return node | {"_began": row.began}


def tool_call(
    agent: str, name: str | None, row: ToolCallRow | None, replayed: bool | None, children: list[Node]
) -> Node:
    node = _node("tool_call", name, agent, children, replayed=replayed)
    if row is not None:
        node |= {
            "attempt": row.attempt,
            "started_at": row.started_at,
            "ended_at": row.ended_at,
            "_began": row.started_at,
        }
    return node


def approval(row: ApprovalRow, *, with_contents: bool) -> Node:
    """Return what callers may see of a decision; for operators all of it."""
    public = {
        "id": row.id,
        "kind": row.kind,
        "status": row.status,
        "asked_at": row.asked_at,
        "decided_at": row.decided_at,
        "decided_by": row.decided_by,
        "as": row.role,
    }
    contents = {"reason": row.reason, "arguments": row.arguments, "address": row.address}
    return public | (contents if with_contents else {})


def message(agent: str, recipient: str, children: list[Node]) -> Node:
    return _node("message", recipient, agent, children)


def run(row: MessageRow, child: RunRecord | None) -> Node:
    """Return what is known of the run that works on a message; of a deleted one what its sender knows."""
    response = child.stored.response if child else None
    return {
        "response_id": row.run,
        "status": response and response["status"],
        "waits_for": child and child.waits_for,
        "queued_at": row.sent_at,
        "ended_at": row.ended_at,
        "attempts": child and child.attempts,
        "error_code": child and _why_not(row, child.stored),
    }


def _why_not(row: MessageRow, child: StoredResponse) -> str | None:
    is_late = child.sending is not None and row.ended_at is not None and row.ended_at >= child.sending.until
    return error_code(child.response) or (
        "deadline_exceeded" if is_late and child.response["status"] == "cancelled" else None
    )


def message_arguments(text: Any) -> dict[str, Any] | None:
    """Return what a call says if it is a message to an agent."""
    try:
        arguments = json.loads(text or "null")
    except (ValueError, RecursionError):
        return None
    is_message = isinstance(arguments, dict) and isinstance(arguments.get("recipient_agent"), str)
    return arguments if is_message else None


def _node(kind: str, name: str | None, agent: str | None, children: list[Node], **fields: Any) -> Node:
    started, ended = [_times(children, name) for name in ("started_at", "ended_at")]
    return {
        "type": kind,
        "name": name,
        "agent": agent,
        "model": None,
        "started_at": min(started, default=None),
        "ended_at": max(ended, default=None),
        "attempt": None,
        "replayed": None,
        "input_tokens": 0,
        "output_tokens": 0,
        "usd": 0.0,
        "status": "completed",
        **fields,
        "children": children,
        "_began": min(started, default=None),
    }


def _times(children: Sequence[Node], name: str) -> list[float]:
    return [child[name] for child in children if child[name] is not None]


def in_order(children: list[Node]) -> list[Node]:
    return sorted(children, key=lambda node: node["_began"] or 0.0)


def summed(node: Node) -> Node:
    """Add up tokens and prices; no price if one is unknown, and no end if one goes on."""
    node.pop("_began", None)
    children = [summed(child) for child in node["children"]]
    if node["type"] == "agent" and any(child["status"] == "in_progress" for child in children):
        node["status"] = "in_progress"
    if node["status"] == "in_progress":
        node["ended_at"] = None
    for name in ("input_tokens", "output_tokens"):
        node[name] += sum(child[name] for child in children)
    prices = [each["usd"] for each in (node, *children)]
    node["usd"] = None if None in prices else round(sum(prices), 6)
    if node["type"] in ("agent", "message") and children:
        node["replayed"] = all(child["replayed"] for child in children)
    return node


def usage(root: Node) -> dict[str, int]:
    """Return what an unfinished run has used so far."""
    calls = [node for node in walk(root) if node["type"] == "model_call" and node["status"] != "in_progress"]
    tokens = {name: root[name] for name in ("input_tokens", "output_tokens")}
    return {"model_calls": len(calls), **tokens, "total_tokens": sum(tokens.values())}


def usd_since(root: Node, since: float) -> float | None:
    """Return what the calls have cost that began at a time or later, None if one has no price."""
    leaves = [node for node in walk(root) if not node["children"]]
    prices = [node["usd"] for node in leaves if _began(node) >= since]
    return None if None in prices else round(sum(prices), 6)


def _began(node: Node) -> float:
    queued_at = node["run"]["queued_at"] if "run" in node else 0.0
    return node["started_at"] or node["ended_at"] or queued_at or 0.0


def walk(node: Node) -> Iterator[Node]:
    yield node
    for child in node["children"]:
        yield from walk(child)


def called_name(item: Any) -> str:
    return item.get("name") or str(item["type"]).removesuffix("_call")


def contents_of_model_call(row: ModelCallRow, instructions: str | None, asked: Any) -> Node:
    return {
        "instructions_digest": row.instructions_digest,
        "instructions": instructions,
        "input": asked,
        "output": row.output,
    }


def contents_of_call(item: Any, output: Any, children: list[Node], approvals: Sequence[ApprovalRow]) -> Node:
    """Return arguments and output: of a message the colleague's last words, of a refused call the reason."""
    reasons = [each.reason for each in approvals if each.approve is False]
    if output is None:
        output = _last_words(children) or next(iter(reasons), None)
    return {"call_id": item.get("call_id"), "arguments": item.get("arguments", item), "output": output}


def outputs_of(calls: list[Node]) -> list[Node] | None:
    """Return what the agent's next call gets in addition; None without contents."""
    known = [call for call in calls if "output" in call]
    return [{"call_id": call["call_id"], "output": call["output"]} for call in known] or None


def _last_words(children: list[Node]) -> str | None:
    calls = [node for child in children for node in child["children"] if node["type"] == "model_call"]
    items = [item for item in calls[-1]["output"] if item.get("type") == "message"] if calls else []
    return "".join(part.get("text") or part.get("refusal") or "" for item in items for part in item["content"]) or None
