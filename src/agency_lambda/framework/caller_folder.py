"""Caches resolved paths for agency-swarm."""

from functools import cache
from pathlib import Path


class _CachedPath(Path):
    # A relative path means another file in another working directory.
    def resolve(self, strict: bool = False) -> "_CachedPath":
        return _resolved(self) if self.is_absolute() and not strict else super().resolve(strict)


@cache
def _resolved(path: _CachedPath) -> _CachedPath:
    return super(_CachedPath, path).resolve()


def install() -> None:
    from agency_swarm.utils import files

    vars(files)["Path"] = _CachedPath
