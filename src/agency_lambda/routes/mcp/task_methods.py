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
from agency_lambda.routes.listing import run_key
from agency_lambda.routes.mcp.decisions import ask_in_stream, decide, input_requests
from agency_lambda.routes.mcp.exchange import Exchange, Standing
from agency_lambda.runs.following import seconds_to_wait
from agency_lambda.runs.model import RETENTION

_KEPT = RETENTION * 1000  # milliseconds
_PAGE = 50  # tasks in one answer
_LOOK = 1.0  # seconds between looks at what somebody else decides


def created_task(peer: Peer, response: ResponseObject) -> Result:
    created = task(peer, response, response["id"], _KEPT)
    return {"resultType": "task", **created} if peer.is_modern else {"task": created}


async def get_task(exchange: Exchange) -> Result:
    task_id, peer = _task_id(exchange), exchange.peer
    standing = await _standing(exchange, task_id)
    shown = _task(peer, task_id, standing)
    if not peer.is_modern:
        return shown
    if shown["status"] == "completed":
        return {**shown, "result": {"resultType": "complete", **exchange.result(standing)}}
    if shown["status"] == "input_required":
        return {**shown, "inputRequests": input_requests(standing.decidable)}
    return shown


async def update_task(exchange: Exchange) -> Result:
    exchange.peer.require_tasks()
    update = parameters(TaskUpdate, exchange.request)
    standing = await _standing(exchange, update.taskId)
    await decide(exchange.caller, standing.decidable, update.inputResponses)
    return {}


async def cancel_task(exchange: Exchange) -> Result:
    task_id, peer = _task_id(exchange), exchange.peer
    standing = await _standing(exchange, task_id)
    if standing.is_over and not peer.is_modern:
        raise ProtocolError(INVALID_PARAMS, f"The task has ended: it is {standing.response['status']}.")
    if not standing.is_over:
        await exchange.caller.runs.cancel(exchange.caller.owner, standing.response["id"])
    return {} if peer.is_modern else _task(peer, task_id, await _standing(exchange, task_id))


async def task_result(exchange: Exchange) -> Result:
    """Wait until a task is over. Forms for its client's person come on the stream before."""
    task_id, exchange.only_waits = _task_id(exchange), True
    meta = related(task_id)
    standing = await _standing(exchange, task_id)
    while not standing.is_over:
        if seconds_to_wait() < 0:
            raise ProtocolError(INTERNAL_ERROR, "The task goes on longer than this request can: ask again.")
        if exchange.peer.shows_forms:
            standing = await ask_in_stream(exchange, standing, meta)
        if standing.approvals:
            await asyncio.sleep(_LOOK)
        standing = await exchange.wait(await _standing(exchange, task_id))
    return {**exchange.result(standing), "_meta": meta}


async def list_tasks(exchange: Exchange) -> Result:
    _require_core_tasks(exchange.peer)
    cursor, caller = parameters(Page, exchange.request).cursor, exchange.caller
    try:
        query = PageQuery(limit=_PAGE, after=run_key(cursor, "cursor"))
    except InvalidRequest:
        raise ProtocolError(INVALID_PARAMS, "There is no page at this cursor.") from None
    page = await list_runs(caller.runs.store, [caller.owner], query, RunFilter())
    tasks = [await _listed(exchange, entry) for entry in page["data"]]
    more = {"nextCursor": page["last_id"]} if page["has_more"] else {}
    return {"tasks": tasks, **more}


async def _listed(exchange: Exchange, entry: dict[str, Any]) -> Object:
    if entry.get("waits_for"):
        return _task(exchange.peer, entry["id"], await _standing(exchange, entry["id"]))
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


async def _standing(exchange: Exchange, task_id: str) -> Standing:
    try:
        return await exchange.standing(task_id)
    except NotFound:
        raise ProtocolError(INVALID_PARAMS, "Failed to retrieve task: Task not found") from None


def _task(peer: Peer, task_id: str, standing: Standing) -> Object:
    asks_peer = peer.shows_forms and bool(standing.decidable)
    return task(peer, standing.response, task_id, _KEPT, asked=standing.asked, asks_peer=asks_peer)
