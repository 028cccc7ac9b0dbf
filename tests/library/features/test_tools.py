"""Rows of docs/agency-swarm.md: tools that run here."""

import asyncio
import base64
import json
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from agency_swarm import (
    Agency,
    Agent,
    BaseTool,
    LoadFileAttachment,
    PersistentShellTool,
    ToolOutputImage,
    function_tool,
)
from agency_swarm.tools import PresentFiles, ToolFactory
from agents import (
    ApplyPatchTool,
    AsyncComputer,
    ComputerTool,
    CustomTool,
    LocalShellTool,
    ShellTool,
    ToolSearchTool,
    tool_namespace,
)
from agents.agent import StopAtTools
from agents.tool_guardrails import ToolGuardrailFunctionOutput, tool_input_guardrail, tool_output_guardrail
from openai.types.responses import (
    ResponseApplyPatchToolCall,
    ResponseComputerToolCall,
    ResponseCustomToolCall,
    ResponseFunctionShellToolCall,
)
from openai.types.responses.response_output_item import LocalShellCall
from pydantic import Field

from agency_lambda import catalogue
from agency_lambda.errors import AgencyMisconfigured
from agency_lambda.framework.building import build
from agency_lambda.framework.models import ModelUnavailable
from agency_lambda.framework.models.events import message_item
from tests.library.conftest import Service
from tests.library.features.rows import at_provider, calling, holds, solo, words
from tests.library.runs.stage import Plays, play

LIVE = pytest.mark.parametrize("stream", [True, False])
MODULE = "from agency_swarm import Agency, Agent\ndef create_agency():\n    return "


class Add(BaseTool):
    """Adds."""

    a: int = Field(..., ge=0)
    b: int

    def run(self) -> str:
        assert self._context is not None
        return str(self.a + self.b)


class AddLater(Add):
    """Adds, asynchronously."""

    async def run(self) -> str:  # type: ignore[override]
        await asyncio.sleep(0)
        return str(self.a + self.b)


@function_tool
def add_up(a: int, b: int) -> int:
    """Adds."""
    return a + b


@holds("base_tool", "function_tool")
@LIVE
@pytest.mark.parametrize(("tool", "name"), [(Add, "Add"), (AddLater, "AddLater"), (add_up, "add_up")])
def test_a_tool_is_called(tool: Any, name: str, stream: bool) -> None:
    shown = play(solo(calling(name, a=2, b=3), tools=[tool]), stream=stream)
    assert (shown.words, shown.activities) == (["offline model: 5"], [f"Solo uses {name}"])


@holds("tool_errors")
def test_what_a_tool_raises_is_told_to_the_model() -> None:
    @function_tool
    def fail() -> str:
        """Fails."""
        raise LookupError("no such order")

    assert "no such order" in words(solo(calling("fail"), tools=[fail]))
    assert "greater than or equal to 0" in words(solo(calling("Add", a=-1, b=3), tools=[Add]))


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Callable[[], Agency]]:
    """module(code, files) -> create_agency of a module beside these files."""

    def made(code: str, **files: str) -> Callable[[], Agency]:
        for name, text in files.items():
            path = tmp_path / name.replace("__", "/")
            path.parent.mkdir(exist_ok=True)
            path.with_suffix(".json" if text.startswith("{") else ".py").write_text(text)
        monkeypatch.syspath_prepend(str(tmp_path))
        (tmp_path / f"shop_{tmp_path.name}.py").write_text(MODULE + code)
        return __import__(f"shop_{tmp_path.name}").create_agency  # type: ignore[no-any-return]

    return made


TOOL = (
    "from agency_swarm import BaseTool, function_tool\n"
    "class Reverse(BaseTool):\n    '''Reverses.'''\n    word: str\n    def run(self):\n        return self.word[::-1]\n"
)


@holds("tools_folder", "shared_tools_folder", "shared_tools")
@pytest.mark.parametrize(
    "code",
    [
        "Agency(Agent(name='Solo', instructions='.', tools_folder='./tools'))",
        "Agency(Agent(name='Solo', instructions='.'), shared_tools_folder='tools')",
        "Agency(Agent(name='Solo', instructions='.'), shared_tools=[__import__('tools.Reverse').Reverse.Reverse])",
    ],
    ids=["agents", "shared_folder", "shared"],
)
def test_tools_are_found_in_a_folder_or_given_to_all(module: Any, code: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.delitem(sys.modules, "tools", raising=False)
    monkeypatch.delitem(sys.modules, "tools.Reverse", raising=False)
    shown, _ = at_provider(module(code, tools__Reverse=TOOL), [("Reverse", {"word": "abc"})], "done")
    assert shown.activities == ["Solo uses Reverse"]


@holds("tools_that_cannot_be_loaded")
def test_a_tool_that_cannot_be_loaded_is_refused(module: Any) -> None:
    code = "Agency(Agent(name='Solo', instructions='.', tools_folder='./tools'))"
    with pytest.raises(AgencyMisconfigured):
        build(module(code, tools__Reverse="import nowhere_to_be_found\n"))


SCHEMA = {
    "openapi": "3.1.0",
    "info": {"title": "Shop", "version": "1"},
    "servers": [{"url": "http://127.0.0.1:0"}],
    "paths": {
        "/price": {
            "get": {
                "operationId": "getPrice",
                "description": "The price.",
                "parameters": [{"name": "item", "in": "query", "required": True, "schema": {"type": "string"}}],
                "responses": {"200": {"description": "ok"}},
            }
        }
    },
}


class Shop(BaseHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        body = json.dumps({"asked": self.path, "key": self.headers["x-key"]}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture
def shop() -> Iterator[str]:
    """The schema of an API on loopback."""
    with HTTPServer(("127.0.0.1", 0), Shop) as server:
        thread = Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        yield json.dumps({**SCHEMA, "servers": [{"url": f"http://127.0.0.1:{server.server_port}"}]})
        server.shutdown()
        thread.join()


@holds("schemas_folder", "tool_factory")
@pytest.mark.parametrize("way", ["folder", "factory"])
@pytest.mark.filterwarnings("ignore:The default external formatters:FutureWarning")
def test_an_api_is_called_by_its_schema(module: Any, shop: str, way: str) -> None:
    headers = "{'x-key': 'k'}"
    folder = f"Agent(name='Solo', instructions='.', schemas_folder='schemas', api_headers={{'shop.json': {headers}}})"
    create = module(f"Agency({folder})", schemas__shop=shop)
    if way == "factory":
        tools = ToolFactory.from_openapi_schema(shop, headers={"x-key": "k"})
        create = lambda: Agency(Agent(name="Solo", instructions=".", tools=[*tools]))  # noqa: E731
    _, asked = at_provider(create, [("getPrice", {"parameters": {"item": "paper"}})], "done")
    assert "'/price?item=paper'" in str(asked[1].items)
    assert "'key': 'k'" in str(asked[1].items)


@holds("one_call_at_a_time")
def test_a_tool_that_wants_to_be_alone_is() -> None:
    class Alone(BaseTool):
        """Is alone."""

        class ToolConfig:
            one_call_at_a_time = True

        async def run(self) -> str:
            await asyncio.sleep(0.01)
            return "done"

    def script(turn: Any) -> Any:
        return (
            " / ".join(["offline model", *(call.output for call in turn.calls)]) if turn.calls else [("Alone", {})] * 2
        )

    said = words(solo(script, tools=[Alone]))
    assert "done" in said
    assert "Tool concurrency violation" in said


@holds("strict")
def test_a_strict_schema_reaches_the_provider() -> None:
    class Strict(BaseTool):
        """Is strict."""

        a: int

        class ToolConfig:
            strict = True

        def run(self) -> str:
            return ""

    _, (asked,) = at_provider(lambda: Agency(Agent(name="Solo", instructions=".", tools=[Strict, Add])))
    assert {tool["name"]: tool["strict"] for tool in asked.body["tools"]} == {"Strict": True, "Add": False}


@holds("tool_guardrails")
@pytest.mark.parametrize("side", ["input", "output"])
def test_guardrails_of_a_tool_answer_in_its_place(side: str) -> None:
    def refuse(data: Any) -> ToolGuardrailFunctionOutput:
        return ToolGuardrailFunctionOutput.reject_content("not today")

    make: Any = {"input": tool_input_guardrail, "output": tool_output_guardrail}[side]
    guarded = function_tool(add_up.on_invoke_tool and (lambda a, b: a + b), name_override="sum_up", strict_mode=False)
    setattr(guarded, f"tool_{side}_guardrails", [make(refuse)])
    assert words(solo(calling("sum_up", a=1, b=2), tools=[guarded])) == "not today"


@holds("tool_timeout")
def test_a_tool_has_its_own_limit_of_time() -> None:
    @function_tool(timeout=0.01)
    async def wait() -> str:
        """Waits."""
        await asyncio.sleep(5)
        return ""

    assert "timed out" in words(solo(calling("wait"), tools=[wait]))


@holds("is_enabled")
@pytest.mark.parametrize("enabled", [True, False])
def test_a_tool_may_be_there_for_some_runs_only(enabled: bool) -> None:
    tool = function_tool(lambda: "x", name_override="x", is_enabled=lambda context, agent: enabled)
    _, (asked,) = at_provider(lambda: Agency(Agent(name="Solo", instructions=".", tools=[tool])))
    assert bool(asked.tools) == enabled


@holds("tool_use_behavior")
@LIVE
@pytest.mark.parametrize("behavior", ["stop_on_first_tool", StopAtTools(stop_at_tool_names=["Add"])], ids=str)
def test_a_tool_may_have_the_last_word(behavior: Any, stream: bool) -> None:
    assert words(solo(calling("Add", a=2, b=3), tools=[Add], tool_use_behavior=behavior), stream=stream) == "5"


@holds("parallel_tool_calls")
def test_tools_of_one_answer_run_side_by_side() -> None:
    barrier = asyncio.Barrier(2)

    @function_tool
    async def meet() -> str:
        """Meets."""
        await barrier.wait()
        return "met"

    script = lambda turn: "offline model: both" if turn.calls else [("meet", {})] * 2  # noqa: E731
    assert words(solo(script, tools=[meet])) == "both"


@holds("tool_images_and_files")
def test_the_model_is_shown_an_image_of_a_tool() -> None:
    picture = f"data:image/png;base64,{base64.b64encode(b'x').decode()}"
    tool = function_tool(lambda: ToolOutputImage(image_url=picture), name_override="draw")
    create = lambda: Agency(Agent(name="Solo", instructions=".", tools=[tool]))  # noqa: E731
    _, asked = at_provider(create, [("draw", {})], "done")
    assert asked[1].items[-1]["output"] == [{"type": "input_image", "image_url": picture}]


@holds("load_file_attachment")
def test_a_file_of_this_machine_is_loaded(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"x")
    create = lambda: Agency(Agent(name="Solo", instructions=".", tools=[LoadFileAttachment]))  # noqa: E731
    _, asked = at_provider(create, [("LoadFileAttachment", {"path": str(tmp_path / "a.png")})], "done")
    assert asked[1].items[-1]["output"][0]["type"] == "input_image"


@holds("present_files")
def test_files_are_moved_to_where_mnt_dir_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.txt").write_text("x")
    monkeypatch.setenv("MNT_DIR", str(tmp_path / "mnt"))
    said = words(solo(calling("PresentFiles", files=[str(tmp_path / "a.txt")]), tools=[PresentFiles]))
    assert "size_bytes" in said
    assert len([*(tmp_path / "mnt").rglob("a.txt")]) == 1


@holds("persistent_shell")
def test_a_shell_remembers_its_folder_for_a_run_only(tmp_path: Path) -> None:
    def script(turn: Any) -> Any:
        commands = [f"cd {tmp_path}", "pwd"]
        done = len(turn.calls)
        return (
            f"offline model: {turn.calls[-1].output}"
            if done == 2
            else [("PersistentShellTool", {"command": commands[done]})]
        )

    create = solo(script, tools=[PersistentShellTool])
    assert str(tmp_path) in words(create)
    assert str(tmp_path) not in words(solo(calling("PersistentShellTool", command="pwd"), tools=[PersistentShellTool]))


@holds("ipython_interpreter")
def test_the_ipython_interpreter_is_refused_where_jupyter_is_not_installed() -> None:
    def create() -> Agency:
        from agency_swarm.tools import IPythonInterpreter

        return Agency(Agent(name="Solo", instructions=".", tools=[IPythonInterpreter]))

    try:
        import jupyter_client  # type: ignore[import-not-found]  # noqa: F401
    except ImportError:
        with pytest.raises(AgencyMisconfigured):
            build(create)


class Screen(AsyncComputer):
    """A computer that notes what is done to it."""

    environment = "browser"
    dimensions = (10, 10)

    def __init__(self) -> None:
        self.done: list[str] = []

    async def screenshot(self) -> str:
        self.done.append("screenshot")
        return base64.b64encode(b"x").decode()

    async def _noted(self, *_: Any, **__: Any) -> None:
        self.done.append("act")

    click = double_click = scroll = type = wait = move = keypress = drag = _noted  # type: ignore[assignment]


class Editor:
    def create_file(self, operation: Any) -> Any:
        from agents import ApplyPatchResult

        done.append(operation.path)
        return ApplyPatchResult(output="created")

    update_file = delete_file = create_file


done: list[Any] = []


def noted(*args: Any) -> str:
    done.append("ran")
    return "output"


async def noted_later(*args: Any) -> str:
    return noted()


CALLS: dict[str, tuple[Any, Any]] = {
    "custom": (
        lambda: CustomTool("grep", "Greps.", noted_later),
        ResponseCustomToolCall(type="custom_tool_call", call_id="c1", name="grep", input="x"),
    ),
    "shell": (
        lambda: ShellTool(noted),
        ResponseFunctionShellToolCall.model_validate(
            {
                **{"id": "sh1", "type": "shell_call", "call_id": "c1", "status": "completed", "environment": None},
                "action": {"commands": ["ls"], "max_output_length": None, "timeout_ms": None},
            }
        ),
    ),
    "local_shell": (
        lambda: LocalShellTool(noted),
        LocalShellCall.model_validate(
            {
                **{"id": "l1", "type": "local_shell_call", "call_id": "c1", "status": "completed"},
                "action": {"type": "exec", "command": ["ls"], "env": {}},
            }
        ),
    ),
    "apply_patch": (
        lambda: ApplyPatchTool(Editor()),
        ResponseApplyPatchToolCall.model_validate(
            {
                **{"id": "p1", "type": "apply_patch_call", "call_id": "c1", "status": "completed"},
                "operation": {"type": "create_file", "path": "a.txt", "diff": "+a\n"},
            }
        ),
    ),
    "computer": (
        lambda: ComputerTool(Screen()),
        ResponseComputerToolCall.model_validate(
            {
                **{"id": "k1", "type": "computer_call", "call_id": "c1", "status": "completed"},
                **{"pending_safety_checks": [], "action": {"type": "screenshot"}},
            }
        ),
    ),
}


@holds("custom_tool", "shell", "local_shell", "apply_patch", "computer")
@LIVE
@pytest.mark.parametrize("kind", CALLS)
def test_tools_that_are_no_functions_run_here(kind: str, stream: bool) -> None:
    make, call = CALLS[kind]
    done.clear()
    tool = make()
    shown = play(solo(model=Plays([call], [message_item("done")]), tools=[tool]), stream=stream)
    assert (shown.response["status"], shown.words) == ("completed", ["done"])
    assert done or tool.computer.done
    assert len(shown.activities) == 1


@pytest.mark.parametrize("kind", CALLS)
def test_and_a_run_that_is_taken_up_again_does_nothing_twice(
    kind: str, start: Callable[..., Service], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The model is away once, when the tool has finished; the next attempt sends it the same output."""
    from agency_lambda.runs import worker

    monkeypatch.setattr("agency_lambda.runs.outcome.BACKOFF", 0.01)
    make, call = CALLS[kind]
    done.clear()
    tool, sent = make(), []

    class Breaks(Plays):
        async def get_response(self, system: Any, items: Any, *args: Any, **kwargs: Any) -> Any:
            sent.append(items)
            if len(sent) == 2:
                raise ModelUnavailable
            return await super().get_response(system, items, *args, **kwargs)

    model = Breaks([call], [message_item("done")])
    monkeypatch.setattr(catalogue, "factories", lambda: {"desk": solo(model=model, tools=[tool])})
    service = start()
    _, response = service.post("/v1/responses", {"model": "desk", "input": "Do it.", "background": True})
    from agency_lambda.run_service import get_run_service

    for _ in range(2):
        service.handler.run(worker.work(get_run_service(), response["id"]))
    assert service.get(f"/v1/responses/{response['id']}")[1]["status"] == "completed"
    acts = done or tool.computer.done
    assert len([act for act in acts if act != "act"]) == 1
    assert len(sent) == 3
    assert sent[2] == sent[1]
    assert sent[1][-1]["type"].endswith("_output")


def test_two_calls_under_one_id_are_two(start: Callable[..., Service], monkeypatch: pytest.MonkeyPatch) -> None:
    counted, sent = iter(range(9)), []

    class Notes(Plays):
        async def get_response(self, system: Any, items: Any, *args: Any, **kwargs: Any) -> Any:
            sent.append(items[-1].get("output"))
            return await super().get_response(system, items, *args, **kwargs)

    async def count(*args: Any) -> str:
        return f"counted {next(counted)}"

    call = CALLS["custom"][1]
    desk = solo(model=Notes([call], [call], [message_item("done")]), tools=[CustomTool("grep", "Greps.", count)])
    monkeypatch.setattr(catalogue, "factories", lambda: {"desk": desk})
    assert start().respond("Do it twice.", model="desk")["status"] == "completed"
    assert sent[1:] == ["counted 0", "counted 1"]


@holds("tool_search")
def test_tools_that_are_loaded_when_they_are_searched_reach_the_provider() -> None:
    def desk() -> Agency:
        later = function_tool(lambda a, b: a + b, name_override="later", strict_mode=False, defer_loading=True)
        named = tool_namespace(name="sums", description="Sums.", tools=[add_up])
        return Agency(Agent(name="Solo", instructions=".", tools=[later, *named, ToolSearchTool()]))

    _, (asked,) = at_provider(desk)
    assert {tool["type"] for tool in asked.body["tools"]} == {"function", "namespace", "tool_search"}
