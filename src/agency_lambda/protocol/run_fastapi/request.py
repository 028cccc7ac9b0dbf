"""The bodies of its routes. What reaches beyond this service is refused by name."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from agency_lambda.errors import UnsupportedParameter
from agency_lambda.protocol import bounds
from agency_lambda.protocol.lazy_types import without_nulls
from agency_lambda.protocol.metadata import NAME, PAIRS, TEXT
from agency_lambda.protocol.request import Body, Text

_KEYS = {"api_key", "litellm_keys"}  # agentswarm-cli sends those that it knows to every local address
_NO_CHOICE = "A caller chooses neither the model nor its server."

# As `metadata` of a response.
_Context = Annotated[
    dict[Annotated[str, StringConstraints(max_length=NAME)], Annotated[str, StringConstraints(max_length=TEXT)]],
    Field(max_length=PAIRS),
]
Name = Annotated[str, StringConstraints(min_length=1, max_length=bounds.NAME)]


def _message(value: str | list[Any]) -> str | list[Any]:
    if not (value.strip() if isinstance(value, str) else value):
        raise ValueError("must not be empty")
    return _objects(value) if isinstance(value, list) else value


def _objects(value: list[Any]) -> list[Any]:
    for number, each in enumerate(value):  # pydantic would list each as an error
        if not isinstance(each, dict):
            raise ValueError(f"entry {number} is no object")
    return value


class GetResponse(Body):
    """The body of `get_response` and `get_response_stream`."""

    message: Annotated[str | list[Any], AfterValidator(_message)] = Field(
        examples=["Which appointments are free next week?"]
    )
    chat_history: Annotated[list[Any], AfterValidator(_objects)] | None = Field(
        default=None, description="all `new_messages` so far"
    )
    recipient_agent: Name | None = None
    additional_instructions: str | None = None
    file_ids: list[Text] | None = Field(default=None, max_length=bounds.PART_LISTS)
    user_context: _Context | None = Field(default=None, description="texts, which tools find as `metadata`")
    generate_chat_name: bool | None = None

    @model_validator(mode="before")
    @classmethod
    def _refuse(cls, body: Any) -> Any:
        if not isinstance(body, dict):
            return body
        if body.get("file_urls") is not None:
            raise _unsupported("file_urls", "This service fetches no address that a caller chooses: send 'file_ids'.")
        config = body.get("client_config")
        if not isinstance(config, dict | None):
            raise _unsupported("client_config", _NO_CHOICE)
        for name in without_nulls(config or {}):
            if name not in _KEYS:
                raise _unsupported(f"client_config.{name}"[:99], _NO_CHOICE)
        return {name: value for name, value in body.items() if name != "client_config"}


class CancelResponse(Body):
    """The body of `cancel_response_stream`."""

    run_id: Text
    cancel_mode: Literal["immediate", "after_turn"] | None = None


def _unsupported(param: str, reason: str) -> UnsupportedParameter:
    return UnsupportedParameter(f"{param} is not supported. {reason}", param=param)
