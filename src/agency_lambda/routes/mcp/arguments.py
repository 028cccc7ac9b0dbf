from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from agency_lambda.errors import InvalidRequest
from agency_lambda.protocol import bounds
from agency_lambda.protocol.client_names import ClientNames
from agency_lambda.protocol.ids import is_file_id
from agency_lambda.protocol.lazy_types import without_nulls
from agency_lambda.protocol.request import CreateResponse
from agency_lambda.routes.completion import Name, Text, ThreadId

_MOST_FILES = 20
_Files = Annotated[list[str], Field(max_length=_MOST_FILES)] | None


class Arguments(BaseModel):
    """What the tool of an agency takes, as its inputSchema says."""

    model_config = ConfigDict(extra="forbid", strict=True)

    message: Text
    conversation: ThreadId | None = None
    agent: Name | None = None
    images: _Files = None
    files: _Files = None

    def conversation_name(self, agency: str) -> str | None:
        return self.conversation and f"{agency}/{self.conversation}"

    def request(self, agency: str, **parameters: Any) -> CreateResponse:
        """Raises InvalidRequest."""
        model = agency if self.agent is None else f"{agency}/{self.agent}"
        return CreateResponse(model=model, input=self._input(), **parameters)

    @property
    def names(self) -> ClientNames:
        media = [f"{name}[{n}]" for name in ("images", "files") for n in range(len(getattr(self, name) or ()))]
        parts = {rf"input\[0\]\.content\[{number}\].*": name for number, name in enumerate(media, 1)}
        return ClientNames({**parts, r"input.*": "message", "model": "agent"})

    def _input(self) -> str | list[Any]:
        if not self.images and not self.files:
            return self.message
        images = [_image(each) for each in self.images or ()]
        files = [{"type": "input_file", "file_id": each} for each in self.files or ()]
        return [{"role": "user", "content": [{"type": "input_text", "text": self.message}, *images, *files]}]


def _image(image: str) -> dict[str, Any]:
    return {"type": "input_image", "file_id" if is_file_id(image) else "image_url": image}


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
