"""Runs in an interpreter that has the standard library and the bundle, and nothing else (see test_bundle_inside.py).

inside_bundle.py BUNDLE events    sends stdin's [[module, event], ...] through the handlers
inside_bundle.py BUNDLE agency    runs an agency with a tool of every kind against OPENAI_BASE_URL
inside_bundle.py BUNDLE stream    the text of a streamed answer, piece by piece
inside_bundle.py BUNDLE mcp       calls the tools of stdin's {"sse": URL, "http": URL, "oauth": URL, "tokens": FOLDER}
inside_bundle.py BUNDLE openapi   calls the tools that stdin's {"schema": OpenAPI, "headers": {}} describes
inside_bundle.py BUNDLE arguments where arguments that a person has changed do not match, and what was compiled
inside_bundle.py BUNDLE packages  what packages are asked about themselves, with and without sources

The last line of stdout is the result, as JSON.
"""

import asyncio
import json
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

BUNDLE = sys.argv[1]
COMPILED: list[str] = []  # files in the bundle whose source was compiled
MCP_SERVER = f"""
import sys
sys.path.insert(0, {BUNDLE!r})
from mcp.server.fastmcp import FastMCP
server = FastMCP("shouting", log_level="ERROR")
@server.tool()
def shout(word: str) -> str:
    return word.upper()
server.run()
"""


class Context:
    aws_request_id = "request-1"

    def get_remaining_time_in_millis(self) -> int:
        return 60_000


def record_what_is_compiled(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "compile" and str(arguments[1]).startswith(BUNDLE):
        COMPILED.append(str(Path(arguments[1]).relative_to(BUNDLE)))


def events() -> Any:
    """What the handlers answered, where the packages came from, what was compiled."""
    answers = [import_module(module).handler(event, Context()) for module, event in json.load(sys.stdin)]
    for service in ("dynamodb", "sqs", "secretsmanager", "sts"):
        import_module("boto3").client(service, region_name="eu-central-1")
    outside = [
        file
        for file in (getattr(module, "__file__", None) for module in sys.modules.values())
        if file and "site-packages" in file
    ]
    return {"answers": answers, "outside": outside, "compiled": COMPILED}


async def agency() -> Any:
    """The types and values that the tools gave, and the last agent's structured output."""
    from agency_swarm import Agency, Agent, BaseTool, Handoff, function_tool
    from agents.mcp import MCPServerStdio
    from pydantic import BaseModel, EmailStr, Field

    class Sum(BaseModel):
        total: int
        to: EmailStr

    class Double(BaseTool):  # type: ignore[misc]
        """Doubles a number."""

        number: int = Field(..., description="what to double")

        def run(self) -> str:
            return str(self.number * 2)

    @function_tool  # type: ignore[misc]
    def add(a: int, b: int) -> int:
        """Add two numbers.

        Args:
            a: the first
            b: the second
        """
        return a + b

    command = {"command": sys.executable, "args": ["-I", "-S", "-B", "-c", MCP_SERVER]}
    shouting = MCPServerStdio(command, name="shouting", client_session_timeout_seconds=60)
    first = Agent(name="First", instructions="First.", tools=[add, Double], mcp_servers=[shouting])
    second = Agent(name="Second", instructions="Second.", output_type=Sum)
    crew = Agency(first, communication_flows=[(first, second, Handoff)])
    result = await crew.get_response("go")
    outputs = [item.output for item in result.new_items if item.type == "tool_call_output_item"]
    return {
        "described": add.params_json_schema["properties"]["a"]["description"],
        "outputs": outputs,
        "final": result.final_output.model_dump(),
    }


async def outputs(**equipment: Any) -> list[Any]:
    """What the tools gave that the model called."""
    from agency_swarm import Agency, Agent

    result = await Agency(Agent(name="First", instructions="First.", **equipment)).get_response("go")
    return [item.output for item in result.new_items if item.type == "tool_call_output_item"]


async def stream() -> Any:
    from agency_swarm import Agency, Agent

    pieces = []
    async for event in Agency(Agent(name="First", instructions="First.")).get_response_stream("go"):
        data = getattr(event, "data", None)
        if getattr(data, "type", "") == "response.output_text.delta":
            pieces.append(data.delta)
    return pieces


async def mcp() -> Any:
    import httpx
    from agency_swarm.mcp import MCPServerOAuth
    from agents.mcp import MCPServerSse, MCPServerStreamableHttp

    at = json.load(sys.stdin)
    agreed: dict[str, str] = {}

    async def redirect(url: str) -> None:
        async with httpx.AsyncClient() as browser:
            agreed.update(httpx.URL((await browser.get(url)).headers["location"]).params)

    async def callback() -> tuple[str, str | None]:
        return agreed["code"], agreed["state"]

    handlers = {"redirect_handler": redirect, "callback_handler": callback, "use_env_credentials": False}
    servers = [
        MCPServerSse({"url": at["sse"]}, name="sse"),
        MCPServerStreamableHttp({"url": at["http"]}, name="http"),
        MCPServerOAuth(url=at["oauth"], name="oauth", cache_dir=Path(at["tokens"]), **handlers),
    ]
    return await outputs(mcp_servers=servers)


async def openapi() -> Any:
    from agency_swarm.tools import ToolFactory

    given = json.load(sys.stdin)
    return await outputs(tools=ToolFactory.from_openapi_schema(given["schema"], headers=given["headers"]))


def arguments() -> Any:
    from agency_lambda.approvals.schemas import first_mismatch

    schema = {"type": "object", "properties": {"to": {"type": "array", "items": {"type": "string"}}}}
    return [first_mismatch({"to": ["ann", 1]}, schema), COMPILED]


def packages() -> Any:
    from importlib import metadata, resources
    from inspect import getsource
    from pkgutil import iter_modules

    import certifi
    import openai
    import pydantic
    from agency_swarm import Agent

    try:
        pydantic.TypeAdapter(int).validate_python("one")
    except pydantic.ValidationError as error:
        traceback = error.__traceback__
    assert traceback is not None
    assert traceback.tb_next is not None
    return {
        "found": sorted(module.name for module in iter_modules(openai.__path__) if not module.name.startswith("_")),
        "described": metadata.version("openai"),
        "entered": [point.load().name for point in metadata.entry_points(name="dotenv")],
        "read": len(resources.files("certifi").joinpath("cacert.pem").read_text())
        == Path(certifi.where()).stat().st_size,
        "source": getsource(Agent).startswith("class Agent("),
        "line": traceback.tb_next.tb_lineno > 1,
        "documented": [bool(documented.__doc__) for documented in (pydantic.create_model, openai.types.Model, Agent)],
    }


if __name__ == "__main__":
    sys.path.insert(0, BUNDLE)
    sys.addaudithook(record_what_is_compiled)
    import handler  # noqa: F401 - as on Lambda, first

    asked: Any = globals()[sys.argv[2]]()
    print("\n" + json.dumps(asyncio.run(asked) if asyncio.iscoroutine(asked) else asked))
