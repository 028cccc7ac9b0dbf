"""Caches answers to conversation starters and quick replies in a temporary folder for each owner.

A cached answer is used if the agency is unchanged and the starter is the run's first and only message.
"""

import hashlib
import tempfile
from contextvars import ContextVar
from functools import cache
from pathlib import Path
from typing import Any

#: the cache folder of the current run; None: it may not use the cache
folder: ContextVar[Path | None] = ContextVar("starters_folder", default=None)


def install() -> None:
    from agency_swarm import Agency, Agent
    from agency_swarm.agent import conversation_starters_cache

    Agency._schedule_starter_cache_warmup = _skip_warmup
    Agent._conversation_starters_cache = _EmptyCache()
    conversation_starters_cache._get_cache_dir = _current_folder


def folder_of(owner: str, agency: str) -> Path:
    """Create and return the cache folder of an owner and an agency."""
    digest = hashlib.sha256(f"{owner}\0{agency}".encode()).hexdigest()
    path = _root() / digest
    path.mkdir(exist_ok=True)
    return path


@cache
def _root() -> Path:
    return Path(tempfile.mkdtemp(prefix="starters-"))


def _current_folder() -> Path:
    # In a folder that does not exist nothing is found, and the framework ignores that it cannot write.
    return folder.get() or Path("/nonexistent/starters")


def _skip_warmup(agency: Any) -> None:
    return None


class _EmptyCache:
    # Runs of several owners may share an agent.

    def __get__(self, agent: Any, owner: Any = None) -> dict[str, Any]:
        return {}

    def __set__(self, agent: Any, answers: Any) -> None:
        pass
