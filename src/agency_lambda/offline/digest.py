"""A script for the offline model that summarizes a conversation."""

import re

from agency_lambda.offline.generic import MARK
from agency_lambda.offline.turn import Turn

_SPOKEN = re.compile(r"^(user|assistant): ", re.MULTILINE)
_LONGEST = 120  # characters of one message
_MOST = 1800  # of all together


def digest(turn: Turn) -> str:
    """Return the beginnings of a transcript's latest messages. Lines begin with `user: ` or `assistant: `."""
    _, *spoken = _SPOKEN.split(turn.message)
    lines = [f"{role}: {_beginning(text)}" for role, text in zip(spoken[::2], spoken[1::2], strict=True)]
    latest = _latest(lines)
    head = f"{MARK} Summary of {len(lines)} earlier messages:"
    left_out = [f"(the first {len(lines) - len(latest)} are left out)"] if len(latest) < len(lines) else []
    return "\n".join([head, *left_out, *latest])


def _beginning(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= _LONGEST else text[:_LONGEST] + "..."


def _latest(lines: list[str]) -> list[str]:
    room = _MOST
    for count, line in enumerate(reversed(lines)):
        room -= len(line) + 1
        if room < 0:
            return lines[len(lines) - count :]
    return lines
