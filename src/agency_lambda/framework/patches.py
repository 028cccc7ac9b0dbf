"""The one table of changes to foreign code: agency-swarm, openai-agents, openai.

tests/library/models/test_patches.py fails on a change that is not in it.
"""

from collections.abc import Iterator, Mapping
from functools import cache
from importlib import import_module
from importlib.metadata import version
from typing import NamedTuple

_HERE = "agency_lambda.framework"
_TESTS = "tests/library"


_OPENAI = {"openai": ("2.44.0", "3.57.0")}
_SDK = {"openai-agents": ("0.18.1", "0.24.0")}
_SDK_0_18 = {"openai-agents": ("0.18.1",)}
_SDK_0_24 = {"openai-agents": ("0.24.0",)}
_SWARM = {"agency-swarm": ("1.11.0",)}
_TRANSFORMS = ("maybe_transform", "async_maybe_transform")

READ_VERSIONS = _OPENAI | _SDK | _SWARM
"""The versions whose source was read, by package: a test fails with any other, which is to be read first."""


class Patch(NamedTuple):
    """installer: module whose `install()` makes the change. test: fails on versions that need another one."""

    targets: tuple[str, ...]  # "module:name" or "module:Class.name"
    versions: Mapping[str, tuple[str, ...]]
    why: str
    installer: str
    test: str


def _names(module: str, *names: str) -> tuple[str, ...]:
    return tuple(f"{module}:{name}" for name in names)


PATCHES = (
    Patch(
        _names("openai", "OpenAI._prepare_options", "AsyncOpenAI._prepare_options")
        + _names("agents.tracing.processors", "BackendSpanExporter.api_key"),
        _OPENAI | _SDK,
        "Clients that were made before a run knew its key, or before the key was rotated, use the key as it is now.",
        f"{_HERE}.openai_clients",
        f"{_TESTS}/test_credentials.py",
    ),
    Patch(
        _names("agency_swarm.utils.files", "Path"),
        _SWARM,
        "Building an agency resolves the path of every stack frame, each time: half of what a fresh agency costs.",
        f"{_HERE}.caller_folder",
        f"{_TESTS}/test_caller_folder.py",
    ),
    Patch(
        _names("agency_swarm", "Agency._schedule_starter_cache_warmup", "Agent._conversation_starters_cache")
        + _names("agency_swarm.agent.conversation_starters_cache", "_get_cache_dir"),
        _SWARM,
        "Building an agency asks the model for every conversation starter, and caches one owner's answers for all, "
        "in the agent and in the working directory, which Lambda cannot write.",
        f"{_HERE}.conversation_starters",
        f"{_TESTS}/features/test_starters.py",
    ),
    Patch(
        _names("agency_swarm.agent.file_manager", "AgentFileManager.parse_files_folder_for_vs_id")
        + _names("agency_swarm.agency.setup", "_apply_shared_files"),
        _SWARM,
        "Building an agency makes a vector store, uploads its files and renames their folder.",
        f"{_HERE}.files",
        f"{_TESTS}/features/test_files.py",
    ),
    Patch(
        _names("agency_swarm.agent.core", "convert_mcp_servers_to_tools"),
        _SWARM,
        "Building an agency connects to its MCP servers and holds the event loop for up to 20 s; a server that failed "
        "once is never tried again.",
        f"{_HERE}.mcp_servers",
        f"{_TESTS}/features/test_hosted.py",
    ),
    Patch(
        _names("agency_swarm", "Agency.copilot_demo", "Agency.run_fastapi", "Agency.terminal_demo", "Agency.tui")
        + _names("agency_swarm.tools.tool_factory_utils.file_loader", "logger.error")
        + _names("agency_swarm.agent.tools", "logger.error")
        + _names("agency_swarm.agency.setup", "logger.error"),
        _SWARM,
        "A module that serves when it is imported would block the build; a tool that cannot be loaded is only logged.",
        f"{_HERE}.building",
        f"{_TESTS}/catalogue/test_check.py",
    ),
    Patch(
        _names("agency_swarm.agency.responses", "get_response", "get_response_stream")
        + _names("agency_swarm", "Agent.get_response", "Agent.get_response_stream", "Agency.__new__"),
        _SWARM,
        "Agencies and agents that tools call, made before the run, would share their state between runs.",
        f"{_HERE}.isolation",
        f"{_TESTS}/runs/test_isolation.py",
    ),
    Patch(
        _names("agency_swarm.agent.execution", "run_with_guardrails")
        + _names("agency_swarm.agent.execution_helpers", "perform_single_run"),
        _SWARM,
        "An agent's answers and tool outputs are stored only if its run ends well: an exception would lose them.",
        f"{_HERE}.unsaved_items",
        f"{_TESTS}/history/test_unsaved.py",
    ),
    Patch(
        _names("agency_swarm.agency.core", "ThreadManager") + _names("agency_swarm.utils.thread", "ThreadManager"),
        _SWARM,
        "Messages that are sent side by side would see one another, in an order that timing decides.",
        f"{_HERE}.memory",
        f"{_TESTS}/features/test_messages.py",
    ),
    Patch(
        _names("agency_swarm.agent.execution", "RunConfig"),
        _SWARM,
        "An unknown tool ends the run instead of returning an error to the model; colleagues get no caller's config.",
        f"{_HERE}.unknown_tools",
        f"{_TESTS}/models/test_sdk_patches.py",
    ),
    Patch(
        _names("agents.run_internal.run_loop", "get_all_tools", "get_single_step_result_from_response")
        + _names("agents.run_internal.turn_resolution", "check_for_final_output_from_tools", "execute_handoffs")
        + _names("agents.run_internal.guardrails", "run_single_output_guardrail"),
        _SDK,
        "Every tool call of a run goes through its journal; the client's functions are tools of the addressed agent.",
        f"{_HERE}.tools",
        f"{_TESTS}/runs/test_tools.py",
    ),
    Patch(
        _names("agents.run", "get_all_tools") + _names("agents.run_internal.tool_execution", "invoke_function_tool"),
        _SDK_0_18,
        "Every tool call of a run goes through its journal, which this version alone makes there.",
        f"{_HERE}.tools",
        f"{_TESTS}/runs/test_tools.py",
    ),
    Patch(
        _names("agents.run_internal.tool_execution", "_invoke_function_tool_with_metadata"),
        _SDK_0_24,
        "Every tool call of a run goes through its journal, which this version alone makes there.",
        f"{_HERE}.tools",
        f"{_TESTS}/runs/test_tools.py",
    ),
    Patch(
        _names("agents._tool_invocation", "_normalize_arguments"),
        _SDK_0_24,
        "Arguments that are nested too deeply would end the run: this version reads them to tell calls apart.",
        f"{_HERE}.tool_arguments",
        f"{_TESTS}/runs/test_arguments.py",
    ),
    Patch(
        _names("agents.tool", "maybe_invoke_function_tool_failure_error_function")
        + _names("agents.run_internal.tool_execution", "maybe_invoke_function_tool_failure_error_function")
        + _names("agency_swarm.tools.mcp_converter", "default_tool_error_function")
        + _names("agency_swarm.tools.tool_factory_utils.base_tool_adapter", "default_tool_error_function"),
        _SDK_0_24,
        "A model could not correct a call that failed: this version withholds the error's text.",
        f"{_HERE}.tool_error_text",
        f"{_TESTS}/runs/test_tool_error_text.py",
    ),
    Patch(
        _names("agents.run", "run_single_turn")
        + _names("agents.run_internal.run_loop", "run_single_turn_streamed")
        + _names("agents.run_internal.guardrails", "run_single_input_guardrail")
        + _names(
            "agents.run_internal.tool_execution",
            *("_FunctionToolBatchExecutor._run_single_tool", "_FunctionToolBatchExecutor._maybe_execute_tool_approval"),
            "_FunctionToolBatchExecutor._execute_single_tool_body",
        )
        + _names("agents.run_internal.tool_actions", "resolve_approval_status")
        + _names("agents.run_internal.tool_planning", "_collect_mcp_approval_plan"),
        _SDK,
        "A call that needs a person would end its agent's run without an answer, and the colleagues' with it.",
        f"{_HERE}.approvals",
        f"{_TESTS}/features/test_approvals.py",
    ),
    Patch(
        _names(
            "agents.run_internal.tool_actions",
            *("CustomToolAction.execute", "LocalShellAction.execute", "ShellAction.execute"),
            *("ApplyPatchAction.execute", "ComputerAction.execute"),
        ),
        _SDK,
        "Calls of tools that are no functions would be repeated when a run resumes.",
        f"{_HERE}.hosted_tools",
        f"{_TESTS}/features/test_hosted_results.py",
    ),
    Patch(
        _names("agents.run_internal.turn_preparation", "get_model")
        + _names("agents.run_internal.run_loop", "get_model"),
        _SDK,
        "Every model call of a run is answered, counted and recorded by the run.",
        f"{_HERE}.models.resolution",
        f"{_TESTS}/models/test_callers.py",
    ),
    Patch(
        _names("agents.models.openai_responses", "OpenAIResponsesModel._fetch_response")
        + _names("agents.models.openai_chatcompletions", "OpenAIChatCompletionsModel._fetch_response"),
        _SDK,
        "`get_response` drops the status of an answer, and chat its `finish_reason`.",
        f"{_HERE}.models.ending_listener",
        f"{_TESTS}/models/test_sdk_patches.py",
    ),
    Patch(
        _names("agents.models.chatcmpl_converter", "Converter.items_to_messages"),
        _SDK_0_24,
        "A history whose messages have no ids could not be sent to a chat model.",
        f"{_HERE}.models.chat_input",
        f"{_TESTS}/v1/test_responses.py",
    ),
    Patch(
        _names("agents.tracing.setup", "GLOBAL_TRACE_PROVIDER"),
        _SDK,
        "Traces, prompts included, would be posted to OpenAI from a thread that an environment freezes.",
        f"{_HERE}.models.tracing",
        f"{_TESTS}/features/test_tracing.py",
    ),
    Patch(
        _names("agents.util._json", "_to_dump_compatible_internal")
        + _names("agents.run_state", "_clone_original_input"),
        _SDK,
        "Each model call copies the history three times, each run once more: a fifth of the CPU of turn 100.",
        f"{_HERE}.item_copies",
        f"{_TESTS}/models/test_item_copies.py",
    ),
    Patch(
        _names("openai._utils", *_TRANSFORMS)
        + _names("openai.resources.responses.responses", *_TRANSFORMS)
        + _names("openai.resources.chat.completions.completions", *_TRANSFORMS),
        _OPENAI,
        "Comparing each value of a request with its type holds the loop for a second with 2,000 items.",
        f"{_HERE}.models.request_body",
        f"{_TESTS}/models/test_request_bodies.py",
    ),
    Patch(
        _names("openai._models", "_validate_non_model_type"),
        _OPENAI,
        "Each item and event is validated as every class of its union: a tenth of the CPU of a stream.",
        f"{_HERE}.models.union_members",
        f"{_TESTS}/models/test_union_members.py",
    ),
)
# `dotenv_at_import` is not in it: it changes how modules are found, before any of these is imported.


@cache
def install() -> None:
    """Make every change once, before the first agency is imported. Imports the framework."""
    for installer in dict.fromkeys(patch.installer for patch in PATCHES):
        import_module(installer).install()


def is_for_installed(patch: Patch) -> bool:
    """Return whether a row is for the versions of its packages that are installed."""
    return all(version(package) in versions for package, versions in patch.versions.items())


def targets() -> Iterator[str]:
    """Yield every name that is changed in the installed versions."""
    for patch in filter(is_for_installed, PATCHES):
        yield from patch.targets
