"""What the journal's rows say of calls, beside answers and outputs. `record` reads them."""

import hashlib
import time
from typing import Any

from pydantic_core import to_json, to_jsonable_python

from agency_lambda.framework.call_journal import JournaledCall
from agency_lambda.protocol.journal_keys import Row
from agency_lambda.protocol.surrogates import replace_surrogates

_LONGEST_INPUT = 100_000  # bytes of an input that is stored for the trace


def digest(text: str) -> str:
    return hashlib.sha256(text.encode(errors="replace")).hexdigest()


def model_call_fields(call: JournaledCall, attempt: int) -> dict[str, Any]:
    request = call.request
    fields: dict[str, Any] = {
        "agent": call.agent,
        "model": request.model,
        "started_at": round(call.started_at, 3),
        "attempt": attempt,
        "within": call.parent,
    }
    if request.identity not in ("", call.agent):
        fields["identity"] = request.identity
    return fields


def instructions_digest(call: JournaledCall) -> str:
    return digest(call.request.instructions)[:16] if call.request.instructions else ""


def own_input(call: JournaledCall) -> Any:
    """Return an agent's first input, unless another row or the request holds it."""
    items = call.request.items
    is_first = isinstance(items, str) or not any(_is_output(item) for item in items)
    if not call.has_own_input or not is_first:
        return None
    plain = replace_surrogates(to_jsonable_python(items, fallback=str))
    return plain if len(to_json(plain)) <= _LONGEST_INPUT else None


def tool_call_fields(tool: str, started_at: float, attempt: int) -> dict[str, Any]:
    """Leave out the arguments, which are in the answer's row."""
    return {"tool": tool, "started_at": round(started_at, 3), "ended_at": now(), "attempt": attempt}


def was_allowed(key: str, body: dict[str, Any]) -> bool:
    # Earlier versions stored no decision.
    return Row.TOOL.has(key) or (Row.ALLOWED.has(key) and bool(body["allowed"]))


def now() -> float:
    return round(time.time(), 3)


def _is_output(item: Any) -> bool:
    return isinstance(item, dict) and str(item.get("type")).endswith("_output")
