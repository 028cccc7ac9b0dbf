"""`tools/call`."""

import json
import re
from functools import partial

from starlette.responses import Response

from agency_lambda import catalogue
from agency_lambda.errors import InvalidRequest, NotFound, ServiceError, StoreUnavailable
from agency_lambda.protocol.mcp.arguments import Arguments, WaitArguments, parsed
from agency_lambda.protocol.mcp.errors import INTERNAL_ERROR, INVALID_PARAMS, ProtocolError
from agency_lambda.protocol.mcp.parameters import Call, parameters, progress_token
from agency_lambda.protocol.mcp.peer import WITH_TASKS
from agency_lambda.protocol.mcp.progress import Progress
from agency_lambda.protocol.mcp.results import Result, call_result, complete, error_result, final_result
from agency_lambda.protocol.mcp.tools import WAIT, tool_names
from agency_lambda.protocol.response_object import FINAL, ResponseObject, open_requests
from agency_lambda.routes.mcp.decisions import ask_in_stream, decide, input_requests
from agency_lambda.routes.mcp.exchange import Exchange, RunState
from agency_lambda.routes.mcp.rendering import json_result
from agency_lambda.routes.mcp.task_methods import created_task
from agency_lambda.runs.client_run import ClientRun
from agency_lambda.runs.idempotency_keys import IdempotentRequest

_STATE = re.compile(r"(resp_\w{1,64})\.(\d{1,2})", re.ASCII)
_MOST_ROUNDS = 8  # in which a client asks again by itself; official clients give up after 10


async def call_tool(exchange: Exchange) -> Result:
    """Raises ProtocolError."""
    call = parameters(Call, exchange.request)
    agency = tool_names(catalogue.factories()).get(call.name)
    if agency is None and call.name != WAIT:
        raise ProtocolError(INVALID_PARAMS, f"Unknown tool: {call.name[:99]!r}")
    try:
        if exchange.peer.is_modern and call.requestState is not None:
            return await _resume(exchange, agency, call)
        if agency is None:
            return await _wait(exchange, parsed(WaitArguments, call.arguments))
        return await _begin(exchange, agency, call)
    except ServiceError as error:
        if error.status >= 500:
            raise ProtocolError(INTERNAL_ERROR, str(error), {"code": error.code}) from error
        return error_result(str(error))


async def _begin(exchange: Exchange, agency: str, call: Call) -> Result:
    arguments, peer = parsed(Arguments, call.arguments), exchange.peer
    as_task = peer.takes_tasks or (peer.version == WITH_TASKS and call.task is not None)
    token = progress_token(exchange.request)  # refused where it is too long, also if it is not used
    if as_task or not exchange.accepts_stream:
        token = None
    render = partial(_at_deadline, exchange, as_task)
    name = arguments.conversation_name(agency)
    with arguments.names.applied():
        request = arguments.request(agency, background=as_task or None, stream=token is not None or None)
        run = await exchange.caller.begin(request, _idempotent(exchange, call), render, name)
    if as_task:
        return created_task(peer, run.response)
    exchange.run_id = run.response["id"]
    try:
        response = await (run.answer() if token is None else _follow(exchange, run, Progress(token)))
    except ServiceError as error:  # the run has failed
        return error_result(str(error))
    return await _result(exchange, response)


def _idempotent(exchange: Exchange, call: Call) -> IdempotentRequest | None:
    key = exchange.idempotency_key
    body = {"name": call.name, "arguments": call.arguments}
    return None if key is None else IdempotentRequest(key, "/mcp", json.dumps(body, sort_keys=True).encode())


def _at_deadline(exchange: Exchange, as_task: bool, response: ResponseObject) -> Response:
    """Return what the client gets if the invocation ends before the run."""
    peer = exchange.peer
    result = call_result(response, exchange.files)
    if as_task:
        result = created_task(peer, response)
    elif peer.is_modern:
        result = _ask_again(response, 0)
    return json_result(exchange, complete(peer, result))


async def _follow(exchange: Exchange, run: ClientRun, progress: Progress) -> ResponseObject:
    """Send progress, and return the response as the last event has it."""
    response = run.response
    try:
        async for event in run.events(exchange.caller.root_path):
            if (note := progress.notification(event)) is not None:
                exchange.send(note)
            response = event.get("response", response)
    finally:
        await run.leave()
    return response


async def _result(exchange: Exchange, response: ResponseObject) -> Result:
    if response["status"] in FINAL and not open_requests(response):
        return final_result(response, exchange.files)
    try:
        state = await exchange.state(response["id"])
    except (NotFound, StoreUnavailable):  # it may or may not have been stored
        state = RunState(response, (), exchange.caller.client)
    return await _at_rest(exchange, state)


async def _at_rest(exchange: Exchange, state: RunState, rounds: int = 0, *, asks: bool = True) -> Result:
    """Return the result of a run that is over, or what its client does to go on.

    rounds: how often the client has asked already. asks: whether persons are asked by forms.
    """
    peer = exchange.peer
    if asks and peer.shows_forms and not peer.is_modern:
        state = await ask_in_stream(exchange, state)
    if peer.is_modern and not state.is_over and rounds < _MOST_ROUNDS:
        if asks and peer.shows_forms and state.decidable:
            return {**_ask_again(state.response, rounds), "inputRequests": input_requests(state.decidable)}
        if not state.approvals:
            return _ask_again(state.response, rounds)
    return exchange.result(state)


def _ask_again(response: ResponseObject, rounds: int) -> Result:
    """Return a result with which clients repeat their request, and go on with the same run."""
    return {"resultType": "input_required", "requestState": f"{response['id']}.{rounds + 1}"}


async def _resume(exchange: Exchange, agency: str | None, call: Call) -> Result:
    """Go on behind an `input_required` result: with what a person has decided, or only with waiting.

    agency: None for the tool that waits for any response.
    """
    found = _STATE.fullmatch(call.requestState or "")
    state = await _known(exchange, found[1]) if found else None
    if found is None or state is None or agency not in (None, state.response["model"].partition("/")[0]):
        raise ProtocolError(INVALID_PARAMS, "This requestState is of no call of this tool.")
    exchange.run_id, exchange.only_waits = state.response["id"], agency is None
    results = call.inputResponses or {}
    is_closed = any(isinstance(each, dict) and each.get("action") == "cancel" for each in results.values())
    if await decide(exchange.caller, state.decidable, results):
        state = await exchange.state(state.response["id"])
    return await _at_rest(exchange, await exchange.wait(state), int(found[2]), asks=not is_closed)


async def _wait(exchange: Exchange, arguments: WaitArguments) -> Result:
    exchange.only_waits = True
    state = await _known(exchange, arguments.response_id)
    if state is None:
        raise InvalidRequest(f"There is no response {arguments.response_id[:99]!r}, or it has expired.")
    return await _at_rest(exchange, await exchange.wait(state))


async def _known(exchange: Exchange, response_id: str) -> RunState | None:
    try:
        return await exchange.state(response_id)
    except NotFound:
        return None
