"""What people run instead, as its documentation has it; nothing that they send leaves this machine."""

import json
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlencode
from uuid import uuid4

from benchmarks.beside import environments
from benchmarks.beside.client import Client, Request, as_json
from benchmarks.beside.peer import Form, Peer
from benchmarks.provider.plan import LETTER, TURN

BARE, NEWEST = "FastAPI + openai-agents, our pins", "FastAPI + openai-agents, newest"
AGNO, PYDANTIC_AI, LANGGRAPH = "Agno AgentOS", "FastAPI + pydantic-ai", "LangGraph dev server"
RUN_FASTAPI = "run_fastapi"
_NOTHING, _ROW = "nothing", "a row at the end"
_FORM = "application/x-www-form-urlencoded"


def nearest() -> list[Peer]:
    """The two that do what this does."""
    return [_openai_agents(BARE, environments.on_our_pins("fastapi", "openai-agents", "uvicorn[standard]")), _agno()]


def all_others() -> list[Peer]:
    newest = _openai_agents(NEWEST, environments.newest("openai_agents"))
    return [*nearest(), newest, _pydantic_ai(), _langgraph(), _run_fastapi()]


def _openai_agents(name: str, environment: Path) -> Peer:
    async def fill(client: Client, session: str, turns: int) -> None:
        items = [{"role": "user", "content": TURN}, _openai_message()]
        await client.ask(as_json("/fill", session=session, turns=turns, items=items))

    kept = Form("stored", "the items, at the end", lambda message, session: _run(message, session or uuid4().hex))
    return Peer(name, ("desk", "openai_agents"), _uvicorn(environment), (kept, _unstored()), _stream, fill=fill)


def _agno() -> Peer:
    def ask(agent: str, message: str, session: str = "", stream: bool = False) -> Request:
        fields = {"message": message, "stream": str(stream).lower(), "session_id": session or uuid4().hex}
        return Request(f"/agents/{agent}/runs", urlencode(fields).encode(), _FORM)

    def form(title: str, keeps: str, agent: str) -> Form:
        return Form(title, keeps, lambda message, session: ask(agent, message, session))

    forms = (
        form("stored", _ROW, "stored"),
        form("checkpointed", "the run, after each batch of tools", "checkpointed"),
        form("not stored", _NOTHING, "plain"),
    )
    return Peer(
        AGNO,
        ("desk", "agno"),
        _uvicorn(environments.newest("agno")),
        forms,
        stream=lambda message: ask("plain", message, stream=True),
        variables={"AGNO_TELEMETRY": "false"},
    )


def _pydantic_ai() -> Peer:
    async def fill(client: Client, session: str, turns: int) -> None:
        await client.ask(as_json("/fill", message=TURN, session=session, turns=turns))

    kept = Form("stored", _ROW, lambda message, session: _run(message, session or uuid4().hex))
    command = _uvicorn(environments.newest("pydantic_ai"))
    return Peer(PYDANTIC_AI, ("desk", "pydantic_ai"), command, (kept, _unstored()), _stream, fill=fill)


def _langgraph() -> Peer:
    def ask(message: str, thread: str, path: str = "wait", **more: object) -> Request:
        place = f"/threads/{thread}/runs/{path}" if thread else f"/runs/{path}"
        return as_json(place, assistant_id="desk", input={"messages": [_said("user", message)]}, **more)

    async def start(client: Client) -> str:
        return str(json.loads(await client.ask(as_json("/threads", metadata={"graph_id": "desk"})))["thread_id"])

    async def fill(client: Client, thread: str, turns: int) -> None:
        values = {"messages": [_said("user", TURN), _said("assistant", LETTER)] * turns}
        await client.ask(as_json(f"/threads/{thread}/state", values=values, as_node="model"))

    command = str(environments.newest("langgraph") / "bin" / "langgraph")
    options = ["--no-browser", "--no-reload", "--server-log-level", "ERROR"]
    return Peer(
        LANGGRAPH,
        ("desk", "langgraph"),
        lambda port: [command, "dev", *options, "--port", str(port)],
        (Form("", "a checkpoint a step, in memory", ask),),
        stream=lambda message: ask(message, "", "stream", stream_mode=["messages-tuple"]),
        start=start,
        fill=fill,
        variables={
            "LANGSMITH_TRACING": "false",
            "LANGGRAPH_CLI_NO_ANALYTICS": "1",
            "LANGGRAPH_NO_VERSION_CHECK": "true",
        },
    )


def _run_fastapi() -> Peer:
    def stream(message: str) -> Request:
        return as_json("/desk/get_response_stream", message=message)

    return Peer(
        RUN_FASTAPI,
        ("desk", "agency_lambda", "run_fastapi"),
        _uvicorn(environments.ours()),
        (Form("", _NOTHING, lambda message, _: as_json("/desk/get_response", message=message)),),
        stream,
        start=None,
        variables={"LITELLM_LOCAL_MODEL_COST_MAP": "True", "PYTHON_DOTENV_DISABLED": "1"},
    )


def _uvicorn(environment: Path) -> Callable[[int], list[str]]:
    command = [str(environment / "bin" / "python"), "-m", "uvicorn", "app:app", "--log-level", "warning"]
    return lambda port: [*command, "--port", str(port)]


def _run(message: str, session: str | None) -> Request:
    return as_json("/run", message=message, session=session)


def _unstored() -> Form:
    return Form("not stored", _NOTHING, lambda message, _: _run(message, None))


def _stream(message: str) -> Request:
    return as_json("/stream", message=message)


def _said(role: str, text: str) -> dict[str, object]:
    return {"role": role, "content": text}


def _openai_message() -> dict[str, object]:
    text = {"type": "output_text", "text": LETTER, "annotations": [], "logprobs": []}
    return {"id": "msg_1", "type": "message", "role": "assistant", "status": "completed", "content": [text]}
