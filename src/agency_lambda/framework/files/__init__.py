"""Gives agents the files that `make files` has uploaded, and refuses folders that it has not.

Building an agency opens no connection and writes no file.
"""

import sys
from collections.abc import Callable
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from agency_lambda.errors import AgencyMisconfigured
from agency_lambda.framework.files.record import Uploaded, find

#: receives each folder while `make files` looks for them
collect: ContextVar[Callable[[Path], None] | None] = ContextVar("collect_files_folders", default=None)


def install() -> None:
    from agency_swarm.agency import setup
    from agency_swarm.agent.file_manager import AgentFileManager

    AgentFileManager.parse_files_folder_for_vs_id = _use_files_folder
    setup._apply_shared_files = _use_shared_folder


def _use_files_folder(manager: Any) -> None:
    agent = manager.agent  # the framework has resolved its `files_folder` before
    folder, agent.files_folder_path = agent.files_folder_path, None
    if folder and (uploaded := _uploaded(folder, f"files_folder of agent {agent.name!r}")):
        _give_tools(agent, uploaded)


def _use_shared_folder(agency: Any) -> None:
    if not agency.shared_files_folder:
        return
    folder = (_callers_folder() / agency.shared_files_folder).resolve()
    if uploaded := _uploaded(folder, "shared_files_folder of the agency"):
        for agent in agency.agents.values():
            if agent.supports_framework_tool_wiring:
                _give_tools(agent, uploaded)


def _give_tools(agent: Any, uploaded: Uploaded) -> None:
    if uploaded.vector_store_id:
        agent.file_manager.add_file_search_tool(uploaded.vector_store_id)
    if uploaded.code_interpreter_file_ids:
        agent.file_manager.add_code_interpreter_tool([*uploaded.code_interpreter_file_ids])


def _uploaded(folder: Path, whose: str) -> Uploaded | None:
    if collecting := collect.get():
        collecting(folder)
        return None
    try:
        return find(folder)
    except LookupError as error:
        raise AgencyMisconfigured(f"The {whose}: {error}") from None


def _callers_folder() -> Path:
    # The nearest caller outside of the framework and this module.
    import agency_swarm

    framework, frame = str(Path(agency_swarm.__file__).parent), sys._getframe(1)
    while frame.f_back and frame.f_code.co_filename.startswith((framework, __file__, "<")):
        frame = frame.f_back
    return Path(frame.f_code.co_filename).parent
