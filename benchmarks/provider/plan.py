"""What the model says: four tools in turn and then a letter, or a sentence, or the time."""

from typing import Any, NamedTuple

FLOW = "Client Nordwind asks when the crew comes. Find out, book it, and write the answer."
TURN = "When does the crew come to Stuttgart, and who brings the parts?"
CLOCK = "Tell me the time, again and again."
LETTER = "Dear Nordwind, the crew comes on Monday at eight."
TOOLS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("find_customer", {"name": "Nordwind"}),
    ("list_orders", {"customer": 17}),
    ("read_order", {"number": 4711}),
    ("book_visit", {"order": 4711, "day": "Monday"}),
)


class Asked(NamedTuple):
    """items: how many the request has. text: its last user message. answered: how many tools have answered since."""

    items: int
    text: str
    answered: int


type Say = str | tuple[str, dict[str, Any]]  # a text, or a tool's name and its arguments


def read(body: dict[str, Any]) -> Asked:
    """Read a request of either API."""
    items = body["messages"] if "messages" in body else body["input"]
    if isinstance(items, str):
        return Asked(1, items, 0)
    answered = 0
    for item in reversed(items):
        if item.get("role") == "user":
            return Asked(len(items), _text(item["content"]), answered)
        answered += item.get("type") == "function_call_output" or item.get("role") == "tool"
    return Asked(len(items), "", answered)


def decide(asked: Asked) -> Say:
    """Return the next tool of the flow, or the letter."""
    if asked.text == FLOW and asked.answered < len(TOOLS):
        return TOOLS[asked.answered]
    return LETTER


def _text(content: Any) -> str:
    return content if isinstance(content, str) else "".join(part.get("text", "") for part in content)
