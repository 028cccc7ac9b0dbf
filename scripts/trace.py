"""Draw what the agents of a run did: `make trace RUN=resp_... [URL=... KEY=...]`; without URL, of `make run`."""

import os
import sys
from collections.abc import Iterator
from typing import Any

import httpx

_WIDTH, _LABEL, _BAR = 100, 45, 21  # columns
_STATUSES = {"failed": "failed", "incomplete": "not finished", "in_progress": "pending"}
_WAITS: dict[str | None, str] = {"person": "waits for a person", "agents": "waits for agents"}
_REFUSED = ("refused", "expired")  # which ends the call


def main() -> None:
    run = os.environ.get("RUN")
    if not run:
        sys.exit("No run named: write make trace RUN=resp_... (URL=https://... KEY=al_...); make runs lists them")
    url = os.environ.get("URL") or f"http://127.0.0.1:{os.environ.get('PORT') or 8000}"
    key = os.environ.get("KEY")
    headers = {"authorization": f"Bearer {key}"} if key else {}
    try:
        with httpx.Client(base_url=url.rstrip("/"), headers=headers, timeout=30) as client:
            trace = _fetch(client, run)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        sys.exit(f"No trace: {error}")
    print("\n".join(drawn(trace)))


def _fetch(client: httpx.Client, run: str) -> dict[str, Any]:
    answer = client.get(f"/v1/admin/responses/{run}/trace")
    if answer.status_code == 403:  # no operator: a run of the caller's own
        answer = client.get(f"/v1/responses/{run}/trace")
    if answer.is_error:
        raise httpx.HTTPError(f"{answer.status_code} {answer.text[:500]}")
    trace: dict[str, Any] = answer.json()
    return trace


def drawn(trace: dict[str, Any]) -> Iterator[str]:
    """Yield the lines of the picture."""
    root, attempts = trace["root"], trace["attempts"]
    status = _WAITS.get(trace.get("waits_for"), trace["status"])
    yield f"{trace['response_id']}  {trace['model']}  {status}  {attempts} attempt{'s' * (attempts != 1)}"
    yield f"{'':{_LABEL}} {'ms':>9} {'tokens':>13} {'USD':>8}"
    yield from _lines(root, "", "", (root["started_at"], max(_ends(root), default=None)))
    if trace["usd"] is None:
        yield "No price is known for a model of this run: docs/settings.md, PRICES."


def _lines(node: dict[str, Any], lead: str, branch: str, span: tuple[float | None, float | None]) -> Iterator[str]:
    label = f"{lead}{branch}{_label(node)}"
    lead += {"": "", "├ ": "│ ", "└ ": "  "}[branch]
    if len(label) > _LABEL:  # the numbers are below it
        yield label if len(label) <= _WIDTH else f"{label[: _WIDTH - 1]}…"
        label = lead if len(lead) <= _LABEL else ""
    has_tokens = node["input_tokens"] or node["output_tokens"]
    tokens = f"{node['input_tokens']:,}+{node['output_tokens']:,}" if has_tokens else ""
    usd = f"{node['usd']:.4f}" if node["usd"] else ""
    yield f"{label:{_LABEL}} {_milliseconds(node):>9} {tokens:>13} {usd:>8} {_bar(node, *span)}"[:_WIDTH].rstrip()
    children = node["children"]
    if node["type"] == "message" and len(children) == 1:  # the colleague is in the line of the message
        children = children[0]["children"]
    for child in children:
        yield from _lines(child, lead, "└ " if child is children[-1] else "├ ", span)


def _ends(node: dict[str, Any]) -> Iterator[float]:
    if node["ended_at"] is not None:
        yield node["ended_at"]
    for child in node["children"]:
        yield from _ends(child)


def _label(node: dict[str, Any]) -> str:
    names = {"model_call": f"asks {node['name'] or 'its model'}", "message": f"-> {node['name']}"}
    approvals = [*map(_approval, node.get("approvals", ()))]
    is_refused = node["status"] == "incomplete" and approvals and approvals[-1].startswith(_REFUSED)
    marks = [names.get(node["type"], node["name"] or "?")]
    marks += [*([] if is_refused else [_status(node)]), *approvals]
    marks += _marks_of_run(node.get("run"))
    if node["replayed"]:
        marks.append(f"replayed (attempt {node['attempt']})" if node["attempt"] else "replayed")
    first, *others = [mark for mark in marks if mark]
    return f"{first} [{', '.join(others)}]" if others else first


def _status(node: dict[str, Any]) -> str:
    run = node.get("run") or {}
    if known := _WAITS.get(run.get("waits_for")):
        return known
    return run["status"] if run.get("status") in ("queued", "cancelled") else _STATUSES.get(node["status"], "")


def _marks_of_run(run: dict[str, Any] | None) -> list[str]:
    """Return what is said of the run that works on a message, by its id."""
    if not run:
        return []
    attempts = run["attempts"] or 1
    why = [] if run["status"] else ["deleted"]
    why += [run["error_code"]] if run["error_code"] else []
    return [*why, *([f"{attempts} attempts"] if attempts > 1 else []), run["response_id"]]


def _approval(approval: dict[str, Any]) -> str:
    if approval["status"] == "pending":
        return _WAITS["person"]
    by = approval["decided_by"]
    return f"{approval['status']} by {by}" if by else str(approval["status"])


def _milliseconds(node: dict[str, Any]) -> str:
    if node["started_at"] is None or node["ended_at"] is None:
        return ""
    return f"{1000 * (node['ended_at'] - node['started_at']):,.0f}"


def _bar(node: dict[str, Any], start: float | None, end: float | None) -> str:
    began, ended = node["started_at"], node["ended_at"]
    if start is None or end is None or began is None:
        return ""
    column = _BAR / max(end - start, 0.001)
    first = min(int((began - start) * column), _BAR - 1)
    last = max(round(((end if ended is None else ended) - start) * column), first + 1)
    return " " * first + "█" * (min(last, _BAR) - first)


if __name__ == "__main__":
    main()
