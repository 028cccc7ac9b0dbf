"""What each agent says when there is no model to ask: the real tools and the real flow, with fixed words.

A script is a pure function of the turn: it answers with a text, or with the tool calls to make now, and is
asked again when their outputs are there. Each knows how many calls its job takes, so none can go on for ever;
what it cannot read as a success it reports as it is and stops.
"""

from collections.abc import Callable
from typing import Any

from agreement_desk.letter import client_in, subject_of, write_letter
from agreement_desk.phrases import (
    CHANGED,
    COMMENT,
    LETTER,
    LIST,
    MARK,
    NOTHING_ASKED,
    OPEN,
    OPENED,
    STOP,
    STORE,
    STORED,
    WRITTEN,
    read_brief,
    read_json,
    task_asked_about,
    to_brief,
    without_letter,
)
from agreement_desk.turn import Call, Reply, Turn


def agreement_manager(turn: Turn) -> Reply:
    """Have the request recorded, have the letter written, report both."""
    request = turn.message.strip()
    if not request:
        return NOTHING_ASKED
    if task := task_asked_about(request):
        return _details(turn, task)
    if not turn.calls:
        said = [request, *reversed(turn.earlier)]  # a follow-up is about the client named last
        client = next(filter(None, map(client_in, said)), None)
        return _ask(turn, "PlanfixAgent", f"{OPEN}\n{to_brief(client, request)}")
    opened = OPENED.match(turn.calls[0].output)
    if not opened:
        return _stop("the request could not be recorded", turn.calls[0])
    if len(turn.calls) == 1:
        return _ask(turn, "CommunicationAgent", f"Write the letter for task {opened[1]}.")
    written = WRITTEN.match(turn.calls[1].output)
    if not written:
        return _stop(f"subtask {opened[1]} is open, but the letter is not done", turn.calls[1])
    return f"{MARK} Subtask {opened[1]} holds the request and this letter:\n\n{written[1]}"


def communication_agent(turn: Turn) -> Reply:
    """Ask for the subtask's details, write the letter, have it stored."""
    if not turn.message.strip():
        return NOTHING_ASKED
    calls, task = list(turn.calls), task_asked_about(turn.message)
    if task is None:  # the user came straight to us: nothing is recorded yet
        if not calls:
            brief = to_brief(client_in(turn.message), turn.message.strip())
            return _ask(turn, "PlanfixAgent", f"{OPEN}\n{brief}")
        first = calls.pop(0)
        opened = OPENED.match(first.output)
        if not opened:
            return _stop("the request could not be recorded", first)
        task = opened[1]
    if not calls:
        return _ask(turn, "PlanfixAgent", f"Give me the details of task {task}.")
    details = read_json(calls[0].output)
    if "description" not in details:
        return _stop(f"there are no details of task {task}", calls[0])
    letter = write_letter(int(task), *read_brief(details["description"] or details["name"]))
    if len(calls) == 1:
        return _ask(turn, "PlanfixAgent", f"Store this letter in task {task}.\n\n{letter}")
    if not STORED.match(calls[1].output):
        return f"{_stop('the letter is written but not stored', calls[1])}\n\n{letter}"
    letter = calls[1].output.partition(CHANGED)[2] or letter
    return f"{MARK} The letter for task {task} is written and stored.\n\n{letter}"


def planfix_agent(turn: Turn) -> Reply:
    """Do on the board what the first words ask for; anything else is a request to open a subtask for."""
    message = turn.message.strip()
    if not message:
        return NOTHING_ASKED
    if message.startswith(OPEN):
        return _open_subtask(turn, *read_brief(message.removeprefix(OPEN).strip()))
    if store := STORE.match(message):
        return _store_letter(turn, int(store[1]), store[2])
    if comment := COMMENT.match(message):
        return _once(turn, "add_comment", {"task_id": int(comment[1]), "text": comment[2]})
    if task := task_asked_about(message):
        return _once(turn, "get_task", {"task_id": int(task)})
    if LIST.search(message) and not client_in(message):
        return _once(turn, "list_tasks", {"text": "", "parent_id": None})
    return _open_subtask(turn, client_in(message), message)


def _open_subtask(turn: Turn, client: str | None, request: str) -> Reply:
    """Find the client's own task, create it if there is none, and create the subtask below it."""
    above = f"Client {client}" if client else "Client requests"
    if not turn.calls:
        return _use(turn, "list_tasks", {"text": above, "parent_id": None})
    listed, *created = turn.calls
    tasks = read_json(listed.output).get("tasks")
    if tasks is None:
        return _stop("the tasks could not be listed", listed)
    parent = _top_task(tasks, above)
    if parent is None:
        if not created:
            return _use(turn, "create_task", {"name": above, "description": "", "parent_id": None})
        first, *created = created
        parent = read_json(first.output).get("id")
        if parent is None:
            return _stop(f"the task “{above}” could not be created", first)
    if not created:
        name, description = subject_of(request, 80) or "Request", to_brief(client, request)
        return _use(turn, "create_task", {"name": name, "description": description, "parent_id": parent})
    number = read_json(created[0].output).get("id")
    if number is None:
        return _stop("the subtask could not be created", created[0])
    return f"{MARK} Subtask {number} is open under task {parent} ({above})."


def _top_task(tasks: list[dict[str, Any]], name: str) -> int | None:
    known = [task for task in tasks if isinstance(task, dict) and isinstance(task.get("name"), str)]
    same = (task for task in known if task["name"].casefold() == name.casefold())
    return next((task.get("id") for task in same if task.get("parent_id") is None), None)


def _store_letter(turn: Turn, task_id: int, letter: str) -> Reply:
    """Below what the description says already, in place of an earlier letter."""
    if not turn.calls:
        return _use(turn, "get_task", {"task_id": task_id})
    details = read_json(turn.calls[0].output)
    if "description" not in details:
        return _stop(f"task {task_id} could not be read", turn.calls[0])
    if len(turn.calls) == 1:
        description = f"{without_letter(details['description'])}\n\n{LETTER}\n{letter}".strip()
        return _use(turn, "update_task", {"task_id": task_id, "name": None, "description": description})
    used, _, output = turn.calls[1].output.rpartition("\n")
    if "updated" not in read_json(output):
        return _stop(f"the letter is not stored in task {task_id}", turn.calls[1])
    stored = f"{MARK} The letter is stored in task {task_id}"
    changed = str(read_json(used).get("description") or "")  # by the person who has approved it
    return f"{stored}{CHANGED}{changed.partition(LETTER)[2].strip() or changed}" if changed else f"{stored}."


def _once(turn: Turn, tool: str, arguments: dict[str, Any]) -> Reply:
    """One tool call, and its result as it is."""
    return f"{MARK} {tool} answered:\n\n{turn.calls[0].output}" if turn.calls else _use(turn, tool, arguments)


def _details(turn: Turn, task: str) -> Reply:
    if not turn.calls:
        return _ask(turn, "PlanfixAgent", f"Give me the details of task {task}.")
    answer = turn.calls[0].output
    return answer if answer.startswith(MARK) else _stop(f"there are no details of task {task}", turn.calls[0])


def _ask(turn: Turn, colleague: str, message: str) -> Reply:
    arguments = {"recipient_agent": colleague, "message": message, "additional_instructions": ""}
    return _use(turn, "send_message", arguments)


def _use(turn: Turn, tool: str, arguments: dict[str, Any]) -> Reply:
    if tool not in turn.tools:
        return f"{MARK} I cannot do this: I have no tool {tool}."
    return [(tool, arguments)]


def _stop(step: str, call: Call) -> str:
    """What could not be done, then what the tool said, or where the colleague had to stop."""
    reason = call.output.removeprefix(STOP).removeprefix(MARK).strip()
    return f"{STOP} {step}; {reason or 'there was no answer'}"


SCRIPT: dict[str, Callable[[Turn], Reply]] = {
    "AgreementManager": agreement_manager,
    "PlanfixAgent": planfix_agent,
    "CommunicationAgent": communication_agent,
}
