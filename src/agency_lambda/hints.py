"""What to ask instead of a path that is not there: for clients of other protocols, and for misspelt paths."""

import re
from collections.abc import Callable, Iterator, Sequence

from starlette.routing import BaseRoute, Match
from starlette.types import Scope

_LONGEST = 300  # characters of a path that is looked at
_CHAT = ("POST /v1/chat/completions", "POST /v1/responses")
_RESPONSES = ("POST /v1/responses",)
_MODELS = ("GET /v1/models",)
_HEALTH = ("GET /health",)
_PAGE = ("GET /", "GET /agencies")

#: a path's beginning -> whose it is, what to ask instead (the first of these that there is), and what to know about it
HINTS: dict[str, tuple[str, tuple[str, ...], str]] = {
    "/v1/completions": ("OpenAI's completions", _CHAT, ""),
    "/v1/chat": ("OpenAI's chat completions", _CHAT, "GET /v1/responses/{id} reads one that is stored"),
    "/v1/edits": ("OpenAI's edits", _CHAT, ""),
    "/v1/engines": ("OpenAI's engines", _MODELS, ""),
    "/v1/assistants": ("OpenAI's Assistants", _RESPONSES, "`model` names an agency"),
    "/v1/threads": ("OpenAI's Assistants", ("POST /v1/conversations",), "a thread is a conversation"),
    "/v1/vector_stores": ("OpenAI's vector stores", _RESPONSES, "an agency searches with tools of its own"),
    "/v1/files": ("OpenAI's files", _RESPONSES, "a file may be an `input_file` with `file_data`"),
    "/v1/uploads": ("OpenAI's uploads in parts", ("POST /v1/files", *_RESPONSES), ""),
    "/v1/batches": ("OpenAI's batches", _RESPONSES, "`background` runs do not wait"),
    "/v1/embeddings": ("OpenAI's embeddings", _RESPONSES, "agencies answer with words only"),
    "/v1/moderations": ("OpenAI's moderations", _RESPONSES, "an agency has guardrails of its own"),
    "/v1/audio": ("OpenAI's audio", _RESPONSES, "agencies neither hear nor speak"),
    "/v1/realtime": ("OpenAI's realtime API", _RESPONSES, "with `stream` words come as they are made"),
    "/v1/images": ("OpenAI's images", _RESPONSES, "an agency makes images with tools of its own"),
    "/v1/videos": ("OpenAI's videos", _RESPONSES, "agencies make none"),
    "/v1/fine_tuning": ("OpenAI's fine-tuning", _MODELS, "agencies are not trained"),
    "/v1/evals": ("OpenAI's evals", ("GET /v1/responses/{response_id}/trace",), "it says what a run did"),
    "/v1/containers": ("OpenAI's containers", _RESPONSES, ""),
    "/v1/messages": ("Anthropic's messages", _CHAT, ""),
    "/v1/complete": ("Anthropic's completions", _CHAT, ""),
    "/v1beta": ("Gemini", _CHAT, ""),
    "/v1alpha": ("Gemini", _CHAT, ""),
    "/api/tags": ("Ollama", _MODELS, ""),
    "/api": ("Ollama", _CHAT, ""),
    "/openai/deployments": ("Azure OpenAI", _CHAT, "`model` names an agency"),
    "/assistants": ("LangGraph", _MODELS, ""),
    "/threads": ("LangGraph", ("POST /v1/conversations",), "a thread is a conversation"),
    "/runs": ("LangGraph", _RESPONSES, ""),
    "/invoke": ("LangServe", _RESPONSES, ""),
    "/batch": ("LangServe", _RESPONSES, ""),
    "/stream": ("LangServe", _RESPONSES, "with `stream` its events come as they are made"),
    "/invocations": ("Bedrock AgentCore", _RESPONSES, ""),
    "/a2a": ("A2A", _RESPONSES, ""),
    "/.well-known/agent.json": ("A2A", ("GET /agencies",), ""),
    "/.well-known/agent-card.json": ("A2A", ("GET /agencies",), ""),
    "/sse": ("MCP's older transport", ("POST /mcp", "GET /agencies"), ""),
    "/ag-ui": ("AG-UI", ("POST /ag-ui/{agency}", *_RESPONSES), ""),
    "/agui": ("AG-UI", ("POST /ag-ui/{agency}", *_RESPONSES), ""),
    "/get_response": ("Agency Swarm", ("POST /{agency}/get_response", "POST /completion"), ""),
    "/get_response_stream": ("Agency Swarm", ("POST /{agency}/get_response_stream", *_RESPONSES), ""),
    "/get_metadata": ("Agency Swarm", ("GET /{agency}/get_metadata", "GET /agencies"), ""),
    "/studio": ("a page to talk with agencies", _PAGE, ""),
    "/playground": ("a page to talk with agencies", _PAGE, ""),
    "/ui": ("a page to talk with agencies", _PAGE, ""),
    "/index.html": ("a page to talk with agencies", _PAGE, ""),
    "/healthz": ("health checks", _HEALTH, ""),
    "/livez": ("health checks", _HEALTH, ""),
    "/readyz": ("health checks", _HEALTH, ""),
    "/ping": ("health checks", _HEALTH, ""),
}


def hint(scope: Scope, path: str, routes: Sequence[BaseRoute]) -> str | None:
    """Return what to ask instead of a path that no route has, or None."""
    if len(path) > _LONGEST:
        return None
    candidates = list(_spellings(path))
    for each in candidates:
        if each != path and _exists(routes, scope, each):
            more = " Base URLs of OpenAI's clients end in /v1, once." if "/v1" in each else ""
            return f"There is no {path}. The path is {each}.{more}"
    for each in candidates:
        for start, (subject, targets, advice) in HINTS.items():
            if f"{each}/".startswith(f"{start}/"):
                asked = f"{_first_of(targets, routes)}: {advice}" if advice else _first_of(targets, routes)
                return f"There is no {path} ({subject}). Ask {asked}."
    return None


def _spellings(path: str) -> Iterator[str]:
    """Yield the path as it may have been meant."""
    plain = re.sub(r"/+", "/", path).rstrip("/") or "/"
    shorter: list[Callable[[str], str]] = [
        lambda text: text,
        str.lower,
        lambda text: re.sub(r"^(/v1)+(?=/)", "/v1", text),
        lambda text: f"/v1{text}",
        lambda text: text[text.index("/v1/") :] if "/v1/" in text else text,
        lambda text: text.removeprefix("/v1"),
    ]
    yield from dict.fromkeys(change(plain) for change in shorter)
    yield from dict.fromkeys(change(plain.lower()) for change in shorter[2:])


def _exists(routes: Sequence[BaseRoute], scope: Scope, path: str) -> bool:
    asked = {**scope, "path": path, "root_path": ""}
    if path.startswith("/v1/"):  # no agency has this name
        routes = [route for route in routes if getattr(route, "path", "").startswith("/v1")]
    return any(route.matches(asked)[0] is not Match.NONE for route in routes)


def _first_of(targets: Sequence[str], routes: Sequence[BaseRoute]) -> str:
    there = {f"{method} {getattr(route, 'path', '')}" for route in routes for method in getattr(route, "methods", ())}
    return next((each for each in targets if each in there), targets[-1])
