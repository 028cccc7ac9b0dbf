from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from agency_lambda.errors import InvalidRequest
from agency_lambda.protocol import bounds
from agency_lambda.protocol.lazy_types import without_nulls
from agency_lambda.protocol.request import CreateResponse
from agency_lambda.routes.completion import Name, Text, ThreadId

_IMAGES = 20


class Arguments(BaseModel):
    """What the tool of an agency takes, as its inputSchema says."""

    model_config = ConfigDict(extra="forbid", strict=True)

    message: Text
    conversation: ThreadId | None = None
    agent: Name | None = None
    images: Annotated[list[str], Field(max_length=_IMAGES)] | None = None

    def conversation_name(self, agency: str) -> str | None:
        return self.conversation and f"{agency}/{self.conversation}"

    def request(self, agency: str, **parameters: Any) -> CreateResponse:
        """Raises InvalidRequest."""
        model = agency if self.agent is None else f"{agency}/{self.agent}"
        return CreateResponse(model=model, input=self._input(), **parameters)

    def _input(self) -> str | list[Any]:
        if not self.images:
            return self.message
        images = [{"type": "input_image", "image_url": image} for image in self.images]
        return [{"role": "user", "content": [{"type": "input_text", "text": self.message}, *images]}]


class WaitArguments(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    response_id: Annotated[str, Field(max_length=128)]


def parsed[T: BaseModel](kind: type[T], arguments: dict[str, Any] | None) -> T:
    """Raises InvalidRequest, whose text a model can understand."""
    if arguments and len(arguments) > bounds.KEYS:  # each would be an error of its own
        raise bounds.over_limit("arguments", "arguments", bounds.KEYS)
    try:
        return kind.model_validate(without_nulls(arguments or {}))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))[:99]
        message = first["msg"].removeprefix("Value error, ")
        raise InvalidRequest(f"Argument {place!r}: {message}") from None
