"""Remembers resolved paths for agency-swarm, which looks for the folder of the code that makes an agent.

It resolves the path of every frame of the stack whenever an agent or agency is made.
"""

from functools import cache
from pathlib import Path


class _RememberedPath(Path):
    """A path that is resolved once. A relative one means another file in another working directory."""

    def resolve(self, strict: bool = False) -> "_RememberedPath":
        return _resolved(self) if self.is_absolute() and not strict else super().resolve(strict)


@cache
def _resolved(path: _RememberedPath) -> _RememberedPath:
    return super(_RememberedPath, path).resolve()


def install() -> None:
    """Give the module of `get_external_caller_directory` this class for `Path`."""
    from agency_swarm.utils import files

    vars(files)["Path"] = _RememberedPath
