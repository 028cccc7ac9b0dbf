"""The methods of MCP by their names."""

from collections.abc import Awaitable, Callable

from agency_lambda import catalogue
from agency_lambda.errors import AgencyMisconfigured
from agency_lambda.protocol.mcp.errors import INTERNAL_ERROR, INVALID_PARAMS, METHOD_NOT_FOUND, ProtocolError
from agency_lambda.protocol.mcp.messages import Object
from agency_lambda.protocol.mcp.parameters import Initialize, Page, parameters
from agency_lambda.protocol.mcp.peer import EARLIER, SUPPORTED, TASKS, WITH_TASKS
from agency_lambda.protocol.mcp.results import SERVER, Result, complete
from agency_lambda.protocol.mcp.tools import list_tools
from agency_lambda.routes.mcp import task_methods
from agency_lambda.routes.mcp.calls import call_tool
from agency_lambda.routes.mcp.exchange import Exchange

type Method = Callable[[Exchange], Awaitable[Result]]

_INSTRUCTIONS = (
    "Each tool is an agency: agents who work together. Say what you want in plain words, with all that they need to "
    "know. Name a conversation to go on with it later."
)
_FRESH = {"ttlMs": 300_000, "cacheScope": "private"}  # only a deployment changes what is there


async def respond(exchange: Exchange) -> Result:
    """Raises ProtocolError, ServiceError."""
    peer, method = exchange.peer, exchange.request.method
    do = (_MODERN if peer.is_modern else _EARLIER).get(method)
    if do is None:
        raise ProtocolError(METHOD_NOT_FOUND, f"Method not found: {method[:99]}")
    return complete(peer, await do(exchange))


async def _initialize(exchange: Exchange) -> Result:
    asked = parameters(Initialize, exchange.request)
    version = asked.protocolVersion if asked.protocolVersion in EARLIER else EARLIER[0]
    tasks: Object = {"tasks": {"list": {}, "cancel": {}, "requests": {"tools": {"call": {}}}}}
    return {
        "protocolVersion": version,
        "capabilities": {"tools": {}, **(tasks if version == WITH_TASKS else {})},
        "serverInfo": SERVER,
        "instructions": _INSTRUCTIONS,
    }


async def _discover(exchange: Exchange) -> Result:
    return {
        "supportedVersions": list(SUPPORTED),
        "capabilities": {"tools": {}, "extensions": {TASKS: {}}},
        "instructions": _INSTRUCTIONS,
        **_FRESH,
    }


async def _ping(exchange: Exchange) -> Result:
    return {}


async def _list_tools(exchange: Exchange) -> Result:
    cursor = parameters(Page, exchange.request).cursor
    try:
        descriptions = {name: catalogue.entry(name).description for name in catalogue.factories()}
    except AgencyMisconfigured as error:
        raise ProtocolError(INTERNAL_ERROR, str(error)) from error
    page = list_tools(descriptions, cursor, exchange.peer)
    if page is None:
        raise ProtocolError(INVALID_PARAMS, "There is no page at this cursor.")
    return {**page, **_FRESH} if exchange.peer.is_modern else page


_EARLIER: dict[str, Method] = {
    "initialize": _initialize,
    "ping": _ping,
    "tools/list": _list_tools,
    "tools/call": call_tool,
    "tasks/get": task_methods.get_task,
    "tasks/cancel": task_methods.cancel_task,
    "tasks/result": task_methods.task_result,
    "tasks/list": task_methods.list_tasks,
}
_MODERN: dict[str, Method] = {
    "server/discover": _discover,
    "tools/list": _list_tools,
    "tools/call": call_tool,
    "tasks/get": task_methods.get_task,
    "tasks/cancel": task_methods.cancel_task,
    "tasks/update": task_methods.update_task,
}
