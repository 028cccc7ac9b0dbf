"""How many tokens a model's input has, about, without asking a provider."""

import binascii
from base64 import b64decode
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from agency_lambda.framework.building import addressed_agent, build
from agency_lambda.framework.client_options import ClientOptions
from agency_lambda.framework.client_tools import refuse_clashes
from agency_lambda.framework.prepare import AgencyEntry
from agency_lambda.protocol.request import CreateResponse
from agency_lambda.protocol.surrogates import to_json_bytes
from agency_lambda.protocol.types import Item

if TYPE_CHECKING:
    from agency_swarm import Agency

_ITEM, _TOOL, _IMAGE, _SMALL_IMAGE, _FILE = 4, 8, 765, 85, 1_500  # tokens
_DIGITS = bytes(range(ord("0"), ord("9") + 1))
_LEADS_OF_TWO = bytes(range(0xC2, 0xE0))  # of letters that have two bytes in UTF-8


def tokens_before_items(name: str, entry: AgencyEntry, request: CreateResponse, *, chat: bool) -> int:
    """Return the tokens of the addressed agent's instructions and tools, and of the client's.

    Raises as `prepare_run`. MCP servers are not asked for their tools, and instructions that are code are not called.
    """
    agency = build(entry.factory)
    agent = addressed_agent(agency, name, request.model.partition("/")[2])
    refuse_clashes(agency, agent, request)
    texts = [agency.agents[agent].instructions, agency.shared_instructions, request.instructions]
    schema = request.text.format.to_dict(mode="json") if request.text and request.text.format else None
    tools = [*_own_tools(agency, agent), *ClientOptions(request, chat=chat).tools]
    total = sum(estimate_text(text) for text in texts if isinstance(text, str))
    total += sum(_TOOL + _estimate_json([tool.name, tool.description, tool.params_json_schema]) for tool in tools)
    return total + (_estimate_json(schema) if schema else 0)


def tokens_of_items(items: Sequence[Item]) -> int:
    """items: the agents' memory, of which the addressed agent is sent what it has said with the user."""
    return sum(_estimate_item(item) for item in items if item.get("callerAgent") is None)


def estimate_text(text: str) -> int:
    """Return a fourth of the bytes, with digits counted twice, and letters of two bytes once.

    So it is within a fourth of what OpenAI's o200k_base makes of most languages, code and JSON.
    """
    return _estimate(text.encode(errors="surrogatepass"))


def _estimate(text: bytes) -> int:
    without_digits, without_leads = text.translate(None, _DIGITS), text.translate(None, _LEADS_OF_TWO)
    return (len(text) - len(without_digits) + len(without_leads) + 3) // 4


def _estimate_json(value: Any) -> int:
    return _estimate(to_json_bytes(value))


def _own_tools(agency: "Agency", agent: str) -> Iterator[Any]:
    state = agency._agent_runtime_state.get(agent)
    for tool in (*agency.agents[agent].tools, *(state.send_message_tools.values() if state else ())):
        if hasattr(tool, "params_json_schema"):
            yield tool


def _estimate_item(item: Item) -> int:
    parts = item.get("content", item.get("output"))
    texts = [value for name in ("name", "arguments") if isinstance(value := item.get(name), str)]
    texts += [parts] if isinstance(parts, str) else []
    listed = parts if isinstance(parts, list) else []
    return _ITEM + sum(map(estimate_text, texts)) + sum(map(_estimate_part, listed))


def _estimate_part(part: Item) -> int:
    kind = part.get("type")
    if kind == "input_image":
        return _SMALL_IMAGE if part.get("detail") == "low" else _IMAGE
    if kind == "input_file":
        return _estimate_file(part)
    return estimate_text(str(part.get("text") or part.get("refusal") or ""))


def _estimate_file(part: Item) -> int:
    head, _, data = str(part.get("file_data") or "").partition(",")
    if not head.startswith("data:text/"):
        return _FILE
    try:
        return _estimate(b64decode(data)) if head.endswith(";base64") else estimate_text(data)
    except (ValueError, binascii.Error):
        return _FILE
