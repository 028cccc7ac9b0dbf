"""Traces of small agencies, and how a tree is written down to be compared."""

import asyncio
import tempfile
from collections.abc import Callable
from typing import Any

from agency_swarm import Agency

from agency_lambda.record.nodes import walk
from agency_lambda.record.trace import TraceOptions, load_trace
from agency_lambda.settings import Settings
from tests.library.model_server import ModelServer
from tests.library.models.agencies import settings
from tests.library.runs.stage import begin, on_stage, told

Node = dict[str, Any]


def outline(node: Node) -> Any:
    """A node as its name, or (name, children); a call of a model is "Agent?"."""
    name = f"{node['agent']}?" if node["type"] == "model_call" else f"{node['type'].partition('_')[0]} {node['name']}"
    return (name, [outline(child) for child in node["children"]]) if node["children"] else name


def nodes(trace: Node, kind: str) -> list[Node]:
    return [node for node in walk(trace["root"]) if node["type"] == kind]


def traced(
    make: Callable[[], Agency], answers: Any = None, *, contents: bool = False, price: Any = None, **request: Any
) -> tuple[Node, Node]:
    """Returns (trace, response) of one stored run; answers: of a model server, None: offline."""
    options = TraceOptions(with_contents=contents, **({"price": price} if price else {}))

    async def whole(service: Settings) -> tuple[Node, Node]:
        async with on_stage(make, service) as runs:
            run = await begin(runs, store=True, stream=False, **request)
            response = (await told(run)).response
            return await load_trace(runs.store, "owner", response["id"], options), response

    if answers is None:
        return play(lambda store: whole(settings(key=None, store=store)))
    with ModelServer(answers) as server:
        return play(lambda store: whole(settings(server.base_url, store=store)))


def play(whole: Callable[[str], Any]) -> Any:
    """Await whole(url of an empty store)."""
    with tempfile.TemporaryDirectory() as folder:
        return asyncio.run(asyncio.wait_for(whole(f"sqlite:///{folder}/agency.db"), 30))
