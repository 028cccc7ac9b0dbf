"""The body of POST /ag-ui/{agency}."""

from typing import Any

from ag_ui.core import RunAgentInput
from pydantic import ModelWrapValidatorHandler, PrivateAttr, model_validator

from agency_lambda.errors import InvalidRequest
from agency_lambda.protocol import bounds
from agency_lambda.protocol.ag_ui.parts import with_known_parts
from agency_lambda.protocol.surrogates import check_json

type Message = dict[str, Any]

_MOST = {"messages": bounds.HISTORY_ITEMS, "tools": bounds.TOOLS, "context": 100, "resume": 100}
_LISTS = ("content", "toolCalls", "tool_calls")  # fields of messages; clients in Python may send names in snake case
_LONGEST_ID = 256  # characters of a thread's or run's id


class RunInput(RunAgentInput):
    _sent: list[Message] = PrivateAttr(default_factory=list)
    _known: list[Message] = PrivateAttr(default_factory=list)

    @model_validator(mode="wrap")
    @classmethod
    def _check(cls, given: Any, handler: ModelWrapValidatorHandler["RunInput"]) -> "RunInput":
        if not isinstance(given, dict):
            return handler(given)  # pydantic refuses it
        _check_bounds(given)
        sent = given.get("messages")
        known = [with_known_parts(message) for message in sent] if isinstance(sent, list) else sent
        body = handler({**given, "messages": known} if known is not None else given)
        for name, text in (("threadId", body.thread_id), ("runId", body.run_id)):
            if not 0 < len(text) <= _LONGEST_ID:
                raise InvalidRequest(f"{name} has 1 to {_LONGEST_ID} characters.", param=name)
        body._sent = sent or []
        # Clients in Python may send names in snake case.
        body._known = [message.model_dump(mode="json", by_alias=True) for message in body.messages]
        return body

    @property
    def sent(self) -> list[Message]:
        """Return the messages for a snapshot."""
        return self._known if self.is_current else self._sent  # old clients cannot read newer forms

    @property
    def known(self) -> list[Message]:
        """Return the messages as AG-UI 1.0 has them."""
        return self._known

    @property
    def is_current(self) -> bool:
        """Return whether the client speaks AG-UI 1.0 or later."""
        return self.protocol_version is not None  # clients before it refuse what it has added


def _check_bounds(body: dict[str, Any]) -> None:
    """Raises InvalidRequest."""
    if len(body) > bounds.KEYS:
        raise bounds.over_limit(None, "parameters", bounds.KEYS)
    for name, most in _MOST.items():
        entries = body.get(name)
        if not isinstance(entries, list):
            continue
        if len(entries) > most:
            raise bounds.over_limit(name, "entries", most)
        _check_objects(entries, name)
        for number, each in enumerate(entries):
            if len(each) > bounds.KEYS:
                raise bounds.over_limit(f"{name}[{number}]", "fields", bounds.KEYS)
    _check_lists(body.get("messages"))
    check_json(body)


def _check_lists(messages: Any) -> None:
    """Refuse too many parts and calls in all messages, and those that are no objects. Raises InvalidRequest."""
    left = bounds.PARTS
    for number, message in enumerate(messages if isinstance(messages, list) else ()):
        for name in _LISTS:
            param, entries = f"messages[{number}].{name}", message.get(name)
            if not isinstance(entries, list):
                continue
            left -= len(entries)
            if left < 0:
                raise bounds.over_limit(param, "parts and tool calls in all messages", bounds.PARTS)
            _check_objects(entries, param)


def _check_objects(entries: list[Any], param: str) -> None:
    for number, each in enumerate(entries):  # pydantic would keep an error for each of them
        if not isinstance(each, dict):
            raise InvalidRequest(f"{param}[{number}] must be an object.", param=f"{param}[{number}]")
