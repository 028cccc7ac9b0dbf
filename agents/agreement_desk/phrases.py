"""The fixed words that the offline agents say to each other, and how each reads the other's."""

import json
import re
from typing import Any

from agreement_desk.letter import client_in

MARK = "[offline model]"
STOP = f"{MARK} I have to stop:"
NOTHING_ASKED = f"{MARK} Please write what the client asks, for example: Client Weber GmbH asks about ..."
OPEN = "Open a subtask for this request."
LETTER = "--- Letter ---"
CHANGED = ", as a person has changed it:\n\n"

TASK = re.compile(r"(?:task|aufgabe|задач\w{0,3}|任务) ?(?:number |no\.? ?|№ ?)?#?(\d{1,18})(?!\d)", re.I)
LIST = re.compile(r"\b(?:list|show|which|what|all)\b.{0,40}\btasks\b", re.I | re.S)
STORE = re.compile(r"Store (?:this|the) letter in (?:sub)?task (\d{1,18})[.:]?\s+(.*)", re.I | re.S)
COMMENT = re.compile(r"Add (?:a|this|the) comment to (?:sub)?task (\d{1,18})[.:]?\s+(.*)", re.I | re.S)
BRIEF = re.compile(r"(?:Client: ([^\n]+)\n)?Request: (.*)", re.S)
OPENED = re.compile(rf"{re.escape(MARK)} Subtask (\d+) is open")
STORED = re.compile(rf"{re.escape(MARK)} The letter is stored")
WRITTEN = re.compile(rf"{re.escape(MARK)} The letter for task \d+ is written and stored\.\n\n(.*)", re.S)


def task_asked_about(message: str) -> str | None:
    """The number in "task 12"; none in a client's request, where it is the client's own."""
    found = None if client_in(message) else TASK.search(message)
    return found[1] if found else None


def to_brief(client: str | None, request: str) -> str:
    return f"Client: {client}\nRequest: {request}" if client else f"Request: {request}"


def read_brief(text: str) -> tuple[str | None, str]:
    """Client and request of a brief, or of anybody's own words."""
    words = without_letter(text).strip()
    found = BRIEF.match(words)
    return (found[1], found[2]) if found else (client_in(words), words)


def without_letter(description: str) -> str:
    return description.partition(f"\n\n{LETTER}\n")[0]


def read_json(output: str) -> dict[str, Any]:
    """The JSON object in a tool's output or a colleague's answer; empty if there is none."""
    start = output.find("{")
    try:
        data = json.JSONDecoder().raw_decode(output[start:])[0] if start >= 0 else {}
    except (ValueError, RecursionError):
        return {}
    return data if isinstance(data, dict) else {}
