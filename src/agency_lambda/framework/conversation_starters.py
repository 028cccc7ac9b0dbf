"""Cached answers to quick replies and conversation starters, kept apart for every owner.

Agency Swarm 1.11.0 asks the real model for all of them when an agency is built, and gives one person's answer to
everybody: in files of the working directory, and with the agent. Here an agency is built for every run, on a file
system that cannot be written. `install` changes three things in it:

- nothing is asked ahead: the first run of an owner that begins with a starter asks the model, and its answer is kept;
- an answer is kept in a temporary folder of the owner's, and nowhere else, for as long as the environment lives;
- a run that must not use answers, or keep any, finds none.

A starter is answered from there as the framework does it: without the model, if agents, tools and instructions are the
same, and it is the first and only message.
"""

import hashlib
import tempfile
from contextvars import ContextVar
from functools import cache
from pathlib import Path
from typing import Any

#: the folder with the answers of the run that goes on here; None: it uses none
folder: ContextVar[Path | None] = ContextVar("starters_folder", default=None)


def install() -> None:
    """Replace the functions of the framework."""
    from agency_swarm import Agency, Agent
    from agency_swarm.agent import conversation_starters_cache

    Agency._schedule_starter_cache_warmup = _ask_nothing_ahead
    Agent._conversation_starters_cache = _Nothing()
    conversation_starters_cache._get_cache_dir = _current_folder


def folder_of(owner: str, agency: str) -> Path:
    """Return where an owner's answers of an agency are; the folder is made."""
    digest = hashlib.sha256(f"{owner}\0{agency}".encode()).hexdigest()
    place = _root() / digest
    place.mkdir(exist_ok=True)
    return place


@cache
def _root() -> Path:
    return Path(tempfile.mkdtemp(prefix="starters-"))


def _current_folder() -> Path:
    """A folder that is not there: nothing is found in it, and the framework ignores that it cannot write."""
    return folder.get() or Path("/nonexistent/starters")


def _ask_nothing_ahead(agency: Any) -> None:
    return None


class _Nothing:
    """In place of the answers that an agent holds: runs of several owners may share an agent."""

    def __get__(self, agent: Any, owner: Any = None) -> dict[str, Any]:
        return {}

    def __set__(self, agent: Any, answers: Any) -> None:
        """Keep nothing."""
