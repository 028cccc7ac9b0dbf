"""Finds files of a tools folder that define a tool under another name than the file's: it would be missing."""

import inspect
import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any

#: the package under which agency_swarm 1.11 imports what lies in a tools folder
_PREFIX = "_agency_swarm_tools_"


def without_tool() -> Iterator[tuple[str, int, str]]:
    """Yield (file, line, class) of each tool class that is not named like its file."""
    for name, module in list(sys.modules.items()):
        if name.startswith(_PREFIX) and "." in name and not _has_tool(module):
            for each in _tools(module):
                yield str(module.__file__), inspect.getsourcelines(each)[1], each.__name__


def _has_tool(module: ModuleType) -> bool:
    from agents import FunctionTool

    stem = module.__name__.rpartition(".")[2]
    names = {each.__name__ for each in _tools(module)}
    return stem in names or any(isinstance(value, FunctionTool) for value in vars(module).values())


def _tools(module: ModuleType) -> list[type[Any]]:
    # Base classes and abstract classes are no tools.
    from agency_swarm.tools import BaseTool

    return [
        value
        for value in vars(module).values()
        if inspect.isclass(value)
        and issubclass(value, BaseTool)
        and value.__module__ == module.__name__
        and not inspect.isabstract(value)
        and not value.__subclasses__()
    ]
