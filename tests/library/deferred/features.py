"""Runs in a process of its own (see test_features.py), as inside_bundle.py does: `features.py FOLDER WHAT`.

What inside_bundle.py offers, and `model` and `user` beside it. The last line of stdout is JSON: {"told", "loaded"}.
"""

import asyncio
import copy
import dataclasses
import functools
import json
import sys
import typing
from typing import Any

import handler  # noqa: F401 - as on Lambda, first
from tests.library.cdk import inside_bundle


async def model() -> Any:
    """Three agents with a model of their own, which send one another messages, whole and streamed."""
    from bench_agency import create_agency

    result = await create_agency().get_response("go")
    stream = create_agency().get_response_stream("go")
    events = [event async for event in stream]
    return {"final": result.final_output, "events": len(events), "streamed": stream.final_result.final_output}


def user() -> Any:
    """What somebody's own code may do with the framework's names."""
    names: dict[str, Any] = {}
    exec("from agency_swarm import *", names)
    import agency_swarm
    import agents
    import mcp.types
    from pydantic import BaseModel, TypeAdapter

    class Held(BaseModel):
        tool: mcp.types.Tool
        usage: agents.Usage

    class MyAgent(agency_swarm.Agent):  # type: ignore[misc]
        pass

    @functools.singledispatch
    def which(value: object) -> str:
        return "object"

    @which.register
    def _(value: agents.Usage) -> str:
        return "usage"

    tool = mcp.types.Tool(name="t", inputSchema={"type": "object"})
    agent = MyAgent(name="Mine", instructions="Mine.")
    held = Held(tool=tool, usage=agents.Usage())
    return {
        "names": sorted({"Agency", "Agent", "BaseTool", "function_tool"} & names.keys()),
        "all": sorted({*agency_swarm.__all__} - names.keys()),
        "held": copy.deepcopy(held.tool).model_dump(exclude_none=True),
        "schema": TypeAdapter(mcp.types.Tool).json_schema()["title"],
        "fields": [field.name for field in dataclasses.fields(agents.Agent)],
        "hints": sorted(typing.get_type_hints(agents.RunConfig)),
        "dispatched": [which(agents.Usage()), which(1)],
        "is": [isinstance(agent, agents.Agent), issubclass(agents.ModelBehaviorError, agents.AgentsException)],
    }


if __name__ == "__main__":
    asked: Any = {**vars(inside_bundle), **globals()}[sys.argv[2]]()
    told = asyncio.run(asked) if asyncio.iscoroutine(asked) else asked
    print("\n" + json.dumps({"told": told, "loaded": sorted(sys.modules)}))
