from typing import Any

from fastapi import Request as HttpRequest
from starlette.responses import Response

from agency_lambda.auth.localhost import is_known_origin
from agency_lambda.protocol.mcp.errors import INVALID_REQUEST, ProtocolError
from agency_lambda.protocol.mcp.messages import Message, Object, Reply, Request, parse_json, parse_message, readable_id
from agency_lambda.protocol.mcp.peer import WITH_BATCHES, Peer, identify, new_session_id
from agency_lambda.protocol.mcp.results import Files
from agency_lambda.routes.dependencies import Caller
from agency_lambda.routes.mcp.decisions import take_reply
from agency_lambda.routes.mcp.exchange import Exchange
from agency_lambda.routes.mcp.methods import respond
from agency_lambda.routes.mcp.rendering import ExchangeResponse, json_error, json_message
from lambda_loop import current_invocation

_MOST_AT_ONCE = 20  # messages in one request
_HEADERS = ("mcp-protocol-version", "mcp-method", "mcp-name", "mcp-session-id")


async def answer(request: HttpRequest, caller: Caller, key: str | None) -> Response:
    value = None
    try:
        _check_origin(request)
        _check_content_type(request)
        value = parse_json(await request.body())
        if isinstance(value, list):
            return await _batch_answered(request, caller, key, value)
        message = parse_message(value)
        peer = identify(message, _headers(request))
    except ProtocolError as error:
        return json_error(error, readable_id(value), is_modern=True)
    return await _answered(request, caller, key, message, peer)


async def _answered(request: HttpRequest, caller: Caller, key: str | None, message: Message, peer: Peer) -> Response:
    if isinstance(message, Request):
        accepts_stream = "text/event-stream" in request.headers.get("accept", "")
        invocation = current_invocation.get()
        is_live = accepts_stream and not (invocation and invocation.buffered)
        exchange = Exchange(caller, peer, message, _files(caller, peer), accepts_stream, is_live, key)
        return ExchangeResponse(exchange, respond, _session(message, peer))
    if isinstance(message, Reply):
        if peer.is_modern:
            return json_error(ProtocolError(INVALID_REQUEST, "This version has no requests that a client answers."))
        await take_reply(caller, message)
    return Response(status_code=202)


async def _batch_answered(request: HttpRequest, caller: Caller, key: str | None, values: list[Any]) -> Response:
    """Answer several messages, one after the other, which one version of the protocol has. Raises ProtocolError."""
    messages = [parse_message(each) for each in values[:_MOST_AT_ONCE]]
    peers = {identify(each, _headers(request)).version for each in messages}
    if peers != {WITH_BATCHES} or len(values) > _MOST_AT_ONCE:
        raise ProtocolError(
            INVALID_REQUEST, f"Send one message at a time, or at most {_MOST_AT_ONCE} ({WITH_BATCHES})."
        )
    if key is not None:
        raise ProtocolError(INVALID_REQUEST, "Idempotency-Key is of one request: send its message alone.")
    answers, peer = list[Object](), Peer(WITH_BATCHES)
    for message in messages:
        if isinstance(message, Request):
            exchange = Exchange(caller, peer, message, _files(caller, peer), accepts_stream=False, is_live=False)
            answers.append((await ExchangeResponse(exchange, respond).answer())[0])
        elif isinstance(message, Reply):
            await take_reply(caller, message)
    return json_message(answers) if answers else Response(status_code=202)


def _files(caller: Caller, peer: Peer) -> Files:
    return Files(caller.file_links, as_links=peer.has_resource_links)


def _check_origin(request: HttpRequest) -> None:
    if not is_known_origin(request.headers.get("origin")):
        raise ProtocolError(INVALID_REQUEST, "Pages of this origin may not call (CORS_ORIGINS).", status=403)


def _check_content_type(request: HttpRequest) -> None:
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise ProtocolError(INVALID_REQUEST, "Send content-type: application/json.", status=415)


def _headers(request: HttpRequest) -> dict[str, str]:
    # One that is there twice matches nothing: proxies may read another one than we do.
    return {name: ", ".join(values).strip() for name in _HEADERS if (values := request.headers.getlist(name))}


def _session(message: Request, peer: Peer) -> dict[str, str]:
    """Return the header of the answer to a handshake."""
    if peer.is_modern or message.method != "initialize":
        return {}
    session_id = new_session_id(message.params.get("capabilities"))
    return {"mcp-session-id": session_id} if session_id else {}
