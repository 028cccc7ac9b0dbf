"""Tasks: responses of the caller, by their ids."""

import asyncio
from typing import Any

from agency_lambda.errors import InvalidRequest, NotFound
from agency_lambda.protocol.mcp.errors import INTERNAL_ERROR, INVALID_PARAMS, METHOD_NOT_FOUND, ProtocolError
from agency_lambda.protocol.mcp.messages import Object
from agency_lambda.protocol.mcp.parameters import Page, Task, TaskUpdate, parameters
from agency_lambda.protocol.mcp.peer import WITH_TASKS, Peer
from agency_lambda.protocol.mcp.results import Result
from agency_lambda.protocol.mcp.tasks import related, task
from agency_lambda.protocol.response_object import ResponseObject
from agency_lambda.record.index_pages import PageQuery
from agency_lambda.record.run_list import RunFilter, list_runs
from agency_lambda.routes.mcp.decisions import ask_in_stream, decide, input_requests
from agency_lambda.routes.mcp.exchange import Exchange, RunState
from agency_lambda.routes.paging import key_or_refuse
from agency_lambda.runs.model import RETENTION
from agency_lambda.runs.run_index import entry_key
from agency_lambda.runs.time_left import seconds_to_wait

_KEPT = RETENTION * 1000  # milliseconds
_PAGE = 50  # tasks in one answer
_LOOK = 1.0  # seconds between looks at what somebody else decides


def created_task(peer: Peer, response: ResponseObject) -> Result:
    created = task(peer, response, response["id"], _KEPT)
    return {"resultType": "task", **created} if peer.is_modern else {"task": created}


async def get_task(exchange: Exchange) -> Result:
    task_id, peer = _task_id(exchange), exchange.peer
    state = await _state(exchange, task_id)
    shown = _task(peer, task_id, state)
    if not peer.is_modern:
        return shown
    if shown["status"] == "completed":
        return {**shown, "result": {"resultType": "complete", **exchange.result(state)}}
    if shown["status"] == "input_required":
        return {**shown, "inputRequests": input_requests(state.decidable)}
    return shown


async def update_task(exchange: Exchange) -> Result:
    exchange.peer.require_tasks()
    update = parameters(TaskUpdate, exchange.request)
    state = await _state(exchange, update.taskId)
    await decide(exchange.caller, state.decidable, update.inputResponses)
    return {}


async def cancel_task(exchange: Exchange) -> Result:
    task_id, peer = _task_id(exchange), exchange.peer
    state = await _state(exchange, task_id)
    if state.is_over and not peer.is_modern:
        raise ProtocolError(INVALID_PARAMS, f"The task has ended: it is {state.response['status']}.")
    if not state.is_over:
        await exchange.caller.runs.cancel(exchange.caller.owner, state.response["id"])
    return {} if peer.is_modern else _task(peer, task_id, await _state(exchange, task_id))


async def task_result(exchange: Exchange) -> Result:
    """Wait until a task is over. Forms for its client's person come on the stream before."""
    task_id, exchange.only_waits = _task_id(exchange), True
    meta = related(task_id)
    state = await _state(exchange, task_id)
    while not state.is_over:
        if seconds_to_wait() < 0:
            raise ProtocolError(INTERNAL_ERROR, "The task goes on longer than this request can: ask again.")
        if exchange.peer.shows_forms:
            state = await ask_in_stream(exchange, state, meta)
        if state.approvals:
            await asyncio.sleep(_LOOK)
        state = await exchange.wait(await _state(exchange, task_id))
    return {**exchange.result(state), "_meta": meta}


async def list_tasks(exchange: Exchange) -> Result:
    _require_core_tasks(exchange.peer)
    cursor, caller = parameters(Page, exchange.request).cursor, exchange.caller
    try:
        query = PageQuery(limit=_PAGE, after=key_or_refuse(entry_key, cursor, "cursor"))
    except InvalidRequest:
        raise ProtocolError(INVALID_PARAMS, "There is no page at this cursor.") from None
    page = await list_runs(caller.runs.store, [caller.owner], query, RunFilter())
    tasks = [await _listed(exchange, entry) for entry in page["data"]]
    more = {"nextCursor": page["last_id"]} if page["has_more"] else {}
    return {"tasks": tasks, **more}


async def _listed(exchange: Exchange, entry: dict[str, Any]) -> Object:
    if entry.get("waits_for"):
        return _task(exchange.peer, entry["id"], await _state(exchange, entry["id"]))
    return task(exchange.peer, {"error": None, **entry}, entry["id"], _KEPT)


def _task_id(exchange: Exchange) -> str:
    if exchange.peer.is_modern:
        exchange.peer.require_tasks()
    else:
        _require_core_tasks(exchange.peer)
    return parameters(Task, exchange.request).taskId


def _require_core_tasks(peer: Peer) -> None:
    if peer.version != WITH_TASKS:
        raise ProtocolError(METHOD_NOT_FOUND, f"There are no such tasks in version {peer.version}.")


async def _state(exchange: Exchange, task_id: str) -> RunState:
    try:
        return await exchange.state(task_id)
    except NotFound:
        raise ProtocolError(INVALID_PARAMS, "Failed to retrieve task: Task not found") from None


def _task(peer: Peer, task_id: str, state: RunState) -> Object:
    asks_peer = peer.shows_forms and bool(state.decidable)
    return task(peer, state.response, task_id, _KEPT, asked=state.asked, asks_peer=asks_peer)
