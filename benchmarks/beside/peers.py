"""The peers: this project, and what people run instead of it."""

import json
import os
import sys
from pathlib import Path

from benchmarks.beside.client import Client, Request
from benchmarks.beside.peer import Form, Peer
from benchmarks.child import ROOT
from benchmarks.provider.plan import LETTER, TURN

_HERE = ROOT / "benchmarks" / "peers"
OURS = "agency-lambda"


def ours() -> Peer:
    """This checkout, as `make run` serves it."""
    return Peer(
        OURS,
        lambda port: [sys.executable, "-W", "ignore", "-m", "handler.local"],
        _our_variables,
        (
            Form("stored", "every call of model and tool, as it ends", lambda *run: _ask_us(*run)),
            Form("not stored", "nothing", lambda message, _: _ask_us(message, "", store=False)),
        ),
        stream=lambda message: _ask_us(message, "", stream=True),
        start=_our_conversation,
        fill=_fill_ours,
    )


def _our_variables(port: int, folder: Path) -> dict[str, str]:
    roots = [ROOT / "benchmarks" / "peers" / "agency_lambda", ROOT, ROOT / "src"]
    return {
        "PORT": str(port),
        "STORE": f"sqlite:///{folder}/agency.db",
        "PYTHONPATH": os.pathsep.join(map(str, roots)),
    }


def _ask_us(message: str, conversation: str, **more: object) -> Request:
    known = {"conversation": conversation} if conversation else {}
    return _json("/v1/responses", model="desk", input=message, **known, **more)


async def _our_conversation(client: Client) -> str:
    return str(json.loads(await client.ask(_json("/v1/conversations")))["id"])


async def _fill_ours(client: Client, conversation: str, turns: int) -> None:
    items = [_item("user", "input_text", TURN), _item("assistant", "output_text", LETTER)]
    for _ in range(turns):
        await client.ask(_json(f"/v1/conversations/{conversation}/items", items=items))


def _item(role: str, kind: str, text: str) -> dict[str, object]:
    return {"type": "message", "role": role, "content": [{"type": kind, "text": text}]}


def _json(path: str, **body: object) -> Request:
    return Request(path, json.dumps(body).encode())
