"""This checkout, as `make run` serves it."""

import json
import sys

from benchmarks.beside.client import Client, Request, as_json
from benchmarks.beside.peer import Form, Peer
from benchmarks.child import ROOT
from benchmarks.provider.plan import LETTER, TURN

NAME = "agency-lambda"


def ours(python: str = sys.executable) -> Peer:
    """python: the interpreter of an environment that has what the service needs."""
    return Peer(
        NAME,
        ("desk", "agency_lambda"),
        lambda port: ["env", f"PORT={port}", python, "-W", "ignore", "-m", "handler.local"],
        (
            Form("stored", "each call of a model or tool, when it ends", _ask),
            Form("not stored", "nothing", lambda message, _: _ask(message, "", store=False)),
        ),
        stream=lambda message: _ask(message, "", stream=True),
        start=_start,
        fill=_fill,
        variables={"STORE": "sqlite:///agency.db"},
        python_path=(ROOT, ROOT / "src"),
    )


def _ask(message: str, conversation: str, **more: object) -> Request:
    place = {"conversation": conversation} if conversation else {}
    return as_json("/v1/responses", model="desk", input=message, **place, **more)


async def _start(client: Client) -> str:
    return str(json.loads(await client.ask(as_json("/v1/conversations")))["id"])


async def _fill(client: Client, conversation: str, turns: int) -> None:
    items = [_item("user", "input_text", TURN), _item("assistant", "output_text", LETTER)]
    for _ in range(turns):
        await client.ask(as_json(f"/v1/conversations/{conversation}/items", items=items))


def _item(role: str, kind: str, text: str) -> dict[str, object]:
    return {"type": "message", "role": role, "content": [{"type": kind, "text": text}]}
