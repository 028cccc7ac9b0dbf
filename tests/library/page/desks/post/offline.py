"""What Clerk does without a model: the call that the message begins with, once."""

from typing import Any

LETTER = {"to": "Nordwind", "text": "The date is moved to 3 March.", "pages": 2, "registered": False}
PARCEL = {"address": {"name": "Nordwind", "lines": ["Hafenstr. 1", "Hamburg"]}}
CALLS: dict[str, tuple[str, dict[str, Any]]] = {
    "letter": ("send_letter", LETTER),
    "parcel": ("send_parcel", PARCEL),
    "choose": ("ask_person", {"question": "Which day suits Nordwind?", "choices": ["Monday", "Friday"]}),
    "free": ("ask_person", {"question": "What shall the letter say?", "choices": None}),
    "wait": ("wait", {"seconds": 600}),
}


def clerk(turn: Any) -> str | list[tuple[str, dict[str, Any]]]:
    """Fail at "fail"; else make the call, and say what came of it."""
    verb = turn.message.partition(" ")[0]
    if verb == "fail":
        raise RuntimeError("the post office is closed")
    if verb in CALLS and not turn.calls:
        return [CALLS[verb]]
    return " | ".join(call.output for call in turn.calls) or f"Clerk: {turn.message}"


SCRIPT = {"Clerk": clerk}
