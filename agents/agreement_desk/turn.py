"""What an offline script is given, and what it gives back. The caller's own types only have to look like it."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol


class Call(Protocol):
    @property
    def tool(self) -> str: ...
    @property
    def arguments(self) -> Mapping[str, Any]: ...
    @property
    def output(self) -> str: ...


class Turn(Protocol):
    """`message` is to be answered; `calls` were made since; `tools` has schemas; `earlier` is oldest first."""

    @property
    def message(self) -> str: ...
    @property
    def calls(self) -> Sequence[Call]: ...
    @property
    def tools(self) -> Mapping[str, Mapping[str, Any]]: ...
    @property
    def earlier(self) -> Sequence[str]: ...


type Reply = str | list[tuple[str, dict[str, Any]]]
