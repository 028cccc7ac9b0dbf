"""What the agents say without a model: 15 model calls for a client's first request, 14 for a later one."""

import json
import re
from collections.abc import Callable
from typing import Any

MARK = "[offline model]"
OPEN = "Open a subtask.\n"
LETTER = "\n\n--- Letter ---\n"
CLIENT = re.compile(r"\bClient ([A-Z].{0,60}?) (?:asks?|wants?)\b")
TASK = re.compile(r"\btask (\d{1,18})\b")

type Reply = str | list[tuple[str, dict[str, Any]]]


def secretary(turn: Any) -> Reply:
    """Have the request recorded and the letter written, and report both."""
    outputs = [call.output for call in turn.calls]
    if not outputs:
        spoken = [turn.message, *reversed(turn.earlier)]  # a follow-up is about the client named last
        client = next((found[1] for text in spoken if (found := CLIENT.search(text))), "Sir or Madam")
        return _ask(turn, "Registrar", f"{OPEN}Client: {client}\nRequest: {turn.message.strip()}")
    opened = re.search(r"Subtask (\d+) is open", outputs[0])
    if not opened:
        return f"{MARK} I have to stop: {outputs[0]}"
    if len(outputs) == 1:
        return _ask(turn, "Writer", f"Write the letter for task {opened[1]}.")
    letter = outputs[1].partition("written and stored.\n\n")[2]
    return f"{MARK} Subtask {opened[1]} holds the request and this letter:\n\n{letter or outputs[1]}"


def writer(turn: Any) -> Reply:
    """Ask for the task's details, write the letter, have it stored."""
    task = TASK.search(turn.message)
    if not task:
        return f"{MARK} Which task is it about?"
    if not turn.calls:
        return _ask(turn, "Registrar", f"Give me the details of task {task[1]}.")
    details = _json(turn.calls[0].output)
    if "description" not in details:
        return f"{MARK} I have to stop: {turn.calls[0].output}"
    client, _, request = details["description"].partition(LETTER)[0].partition("\n")
    words = request.removeprefix("Request: ")[:200]
    letter = (
        f"Dear {client.removeprefix('Client: ')},\n\nThank you for your message “{words}”. It has number {task[1]}."
    )
    if len(turn.calls) == 1:
        return _ask(turn, "Registrar", f"Store this letter in task {task[1]}.\n\n{letter}")
    return f"{MARK} The letter for task {task[1]} is written and stored.\n\n{letter}"


def registrar(turn: Any) -> Reply:
    """Do what the first words ask for; anything else is a request to open a subtask for."""
    message, task = turn.message.strip(), TASK.search(turn.message)
    if message.startswith("Store") and task:
        return _store(turn, int(task[1]), message.partition("\n\n")[2])
    if message.startswith("Give") and task:
        return _call_once(turn, "get_task", {"task_id": int(task[1])})
    if re.search(r"\btasks\b", message) and not message.startswith(OPEN.strip()):
        return _call_once(turn, "list_tasks", {"text": "", "parent_id": None})
    return _open(turn, message.removeprefix(OPEN))


def _open(turn: Any, description: str) -> Reply:
    """List the client's task, create it if there is none, and create the subtask below it."""
    found = re.search(r"Client:? (\w.*?)(?: asks?| wants?|\n|$)", description)
    above = f"Client {found[1]}" if found else "Requests"
    if not turn.calls:
        return _use(turn, "list_tasks", {"text": above, "parent_id": None})
    listed, *created = [_json(call.output) for call in turn.calls]
    if "tasks" not in listed:
        return f"{MARK} I have to stop: {turn.calls[0].output}"
    parent = next((task["id"] for task in listed["tasks"] if task["name"] == above), None)
    if parent is None:
        if not created:
            return _use(turn, "create_task", {"name": above, "description": "", "parent_id": None})
        parent = created.pop(0).get("id")
    if not created:
        return _use(turn, "create_task", {"name": "Request", "description": description, "parent_id": parent})
    return f"{MARK} Subtask {created[0].get('id')} is open under task {parent} ({above})."


def _store(turn: Any, task_id: int, letter: str) -> Reply:
    if not turn.calls:
        return _use(turn, "get_task", {"task_id": task_id})
    if len(turn.calls) == 1:
        kept = str(_json(turn.calls[0].output).get("description", "")).partition(LETTER)[0]
        return _use(turn, "update_task", {"task_id": task_id, "name": None, "description": f"{kept}{LETTER}{letter}"})
    return f"{MARK} The letter is stored in task {task_id}."


def _call_once(turn: Any, tool: str, arguments: dict[str, Any]) -> Reply:
    return f"{MARK} {tool} answered:\n\n{turn.calls[0].output}" if turn.calls else _use(turn, tool, arguments)


def _ask(turn: Any, colleague: str, message: str) -> Reply:
    arguments = {"recipient_agent": colleague, "message": message, "additional_instructions": ""}
    return _use(turn, "send_message", arguments)


def _use(turn: Any, tool: str, arguments: dict[str, Any]) -> Reply:
    return [(tool, arguments)] if tool in turn.tools else f"{MARK} I have no tool {tool}."


def _json(output: str) -> dict[str, Any]:
    try:
        found = json.JSONDecoder().raw_decode(output[output.index("{") :])[0]
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


SCRIPT: dict[str, Callable[[Any], Reply]] = {"Secretary": secretary, "Registrar": registrar, "Writer": writer}
