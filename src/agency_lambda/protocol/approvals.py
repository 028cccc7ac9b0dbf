"""What a run asks a person, and what the person has decided."""

import json
from dataclasses import dataclass
from typing import Any, Literal

from agency_lambda.protocol.surrogates import replace_surrogates
from agency_lambda.protocol.types import Item

ApprovalKind = Literal["tool", "question", "repeat"]
"""A call to approve; a question to answer; a call to make again, whose outcome a crash has left unknown."""


@dataclass(frozen=True, kw_only=True)
class ApprovalRequest:
    """A call that a person decides."""

    key: str  # the call's, the same in every attempt
    agent: str
    name: str  # the tool's
    arguments: str  # the model's, as JSON
    kind: ApprovalKind = "tool"
    schema: dict[str, Any] | None = None  # of the arguments; None if nobody may change them

    def sentence(self, *, shows_content: bool, longest: int | None = None) -> str:
        """Return what is asked. shows_content: the reader may decide. longest: characters of arguments."""
        call = f"{self.name}({self._shown_arguments(longest)})" if shows_content else self.name
        if self.kind == "question":
            text = f"{self.agent} asks: {self._question}" if shows_content else f"{self.agent} asks a question."
        elif self.kind == "repeat":
            text = f"Whether {call} was carried out is unknown. Shall {self.agent} call it again?"
        else:
            text = f"{self.agent} wants to call {call}."
        return text if shows_content else f"{text} An operator decides."

    @property
    def question_schema(self) -> dict[str, Any]:
        """Return the schema of an object with the answer of a question."""
        answer: dict[str, Any] = {"enum": self.choices} if self.choices else {"minLength": 1}
        answer = {"type": "string", "title": "Answer", **answer}
        return {"type": "object", "properties": {"answer": answer}, "required": ["answer"]}

    @property
    def choices(self) -> list[str]:
        found = self._arguments.get("choices")
        return found if isinstance(found, list) and all(isinstance(each, str) for each in found) else []

    @property
    def _arguments(self) -> dict[str, Any]:
        return arguments_object(self.arguments) or {}

    @property
    def _question(self) -> str:
        choices = f" ({', '.join(self.choices)})" if self.choices else ""
        return f"{self._arguments.get('question', '')}{choices}"

    def _shown_arguments(self, longest: int | None) -> str:
        given = arguments_object(self.arguments)
        pairs = (f"{name}={json.dumps(value, ensure_ascii=False)}" for name, value in (given or {}).items())
        text = str(replace_surrogates(self.arguments)) if given is None else ", ".join(pairs)
        return text if longest is None or len(text) <= longest else f"{text[:longest]}..."


@dataclass(frozen=True, kw_only=True)
class Decision:
    """reason: what the model gets if it is refused; the answer of a question. arguments: JSON, used in place of the
    model's."""

    approve: bool
    reason: str | None = None
    arguments: str | None = None


def arguments_object(text: str) -> dict[str, Any] | None:
    """Return the model's arguments; None if they are no JSON object."""
    try:
        value = json.loads(text or "{}")
        json.dumps(value, allow_nan=False).encode()
    except (ValueError, RecursionError):
        return None
    return replace_surrogates(value) if isinstance(value, dict) else None


def activity_line(item: Item) -> str:
    """Return what a `mcp_approval_request` shows among the activities of agents: nothing of its content."""
    return f"{item['agent']} asks a person: {item['name']}"
