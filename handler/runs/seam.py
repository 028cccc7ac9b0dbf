"""Where a run meets its agents: what their models are asked, and what is heard of them."""

from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any

from agents import AgentOutputSchemaBase, ModelSettings
from openai.types.responses import ResponseFormatTextJSONSchemaConfig, ToolChoiceFunction
from openai.types.shared import ResponseFormatJSONObject

from handler.client_tools import ClientTool
from handler.models import Heard, Meter, Question, running
from handler.protocol.request import CreateResponse
from handler.runs.narrator import Narrator


def current_seam() -> "Seam | None":
    """The run that this code runs in."""
    run = running.get(None)
    return run if isinstance(run, Seam) else None


class Seam:
    """One run, as its agents' models and tools meet it. entry: the agent that the client addresses.

    What the client asks for (instructions, temperature, its functions ...) holds for that agent as it speaks with the
    user, not for its colleagues.
    """

    def __init__(self, request: CreateResponse, entry: str, meter: Meter, narrator: Narrator, *, chat: bool) -> None:
        self.meter, self.narrator = meter, narrator
        self.live = bool(request.stream)
        self.handed_over = False  # control went back to the client, who has a function to run
        self._request, self._entry, self._chat = request, entry, chat
        self._functions = [ClientTool(tool) for tool in request.functions]
        self._choice = request.tool_choice

    def functions(self, agent: str) -> list[ClientTool]:
        """The client's functions that an agent may call."""
        return self._functions if agent == self._entry and self.narrator.aloud else []

    def model_call(self, agent: str) -> AbstractContextManager[Heard]:
        """See `Running`."""
        return self.narrator.model_call(agent)

    def ask(self, agent: str, question: Question) -> Question:
        """See `Running`: what the client asked for, in place of what the agent would ask."""
        if agent != self._entry or not self.narrator.aloud:
            return question
        said = "\n\n".join(text for text in (question.instructions, self._request.instructions) if text)
        return replace(
            question,
            instructions=said or None,
            settings=question.settings.resolve(self._settings()),
            output_schema=self._schema() or question.output_schema,
        )

    def _settings(self) -> ModelSettings:
        request, choice = self._request, self._choice
        self._choice = None  # it holds for one call; else the agent would call tools for ever
        hints = {name: getattr(request, name) for name in ("user", "safety_identifier", "prompt_cache_key")}
        plain, body = _json_object(request, self._chat)
        return ModelSettings(
            temperature=request.temperature,
            top_p=request.top_p,
            reasoning=request.reasoning,
            verbosity=request.text.verbosity if request.text and plain else None,
            parallel_tool_calls=request.parallel_tool_calls,
            tool_choice=choice.name if isinstance(choice, ToolChoiceFunction) else choice,
            extra_args={name: value for name, value in hints.items() if value is not None} or None,
            extra_body=body,
        )

    def _schema(self) -> AgentOutputSchemaBase | None:
        wanted = self._request.text.format if self._request.text else None
        return _ClientSchema(wanted) if isinstance(wanted, ResponseFormatTextJSONSchemaConfig) else None


def _json_object(request: CreateResponse, chat: bool) -> tuple[bool, dict[str, Any] | None]:
    """The SDK has no word for a JSON object without a schema, so it is said in each API's own."""
    text = request.text
    if text is None or not isinstance(text.format, ResponseFormatJSONObject):
        return True, None
    if chat:
        return True, {"response_format": {"type": "json_object"}}
    return False, {"text": text.to_dict(mode="json", exclude_none=True)}


class _ClientSchema(AgentOutputSchemaBase):
    """The client's own schema goes to the model; what comes back is its text, for the client to read."""

    def __init__(self, wanted: ResponseFormatTextJSONSchemaConfig) -> None:
        self._wanted = wanted

    def is_plain_text(self) -> bool:
        return False

    def name(self) -> str:
        return self._wanted.name

    def json_schema(self) -> dict[str, Any]:
        return self._wanted.schema_

    def is_strict_json_schema(self) -> bool:
        return bool(self._wanted.strict)

    def validate_json(self, json_str: str) -> Any:
        return json_str
