"""Arguments of tools: their schemas, and requests made of them."""

from functools import cache
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from agency_lambda.errors import InvalidRequest
from agency_lambda.protocol import bounds
from agency_lambda.protocol.client_names import ClientNames
from agency_lambda.protocol.ids import is_file_id
from agency_lambda.protocol.lazy_types import without_nulls
from agency_lambda.protocol.request import CreateResponse
from agency_lambda.protocol.types import Name, Text, ThreadId

_MOST_FILES = 20
_Files = Annotated[list[str], Field(max_length=_MOST_FILES)] | None


class Arguments(BaseModel):
    """What the tool of an agency takes."""

    model_config = ConfigDict(extra="forbid", strict=True)

    message: Text = Field(min_length=1, description="What to ask or to order, in plain words.")
    conversation: ThreadId | None = Field(
        None,
        description="A name of your own for a conversation. The same name continues it; without one, nothing of "
        "earlier calls is remembered.",
    )
    agent: Name | None = Field(None, description="One agent of the agency, in place of its entry point.")
    images: _Files = Field(
        None, description="Images that belong to the message, each as a data URL or the id of a file."
    )
    files: _Files = Field(
        None, description="Texts and PDFs that belong to the message: ids of files, as POST /v1/files returns them."
    )

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

    response_id: str = Field(max_length=128, description="From the result of the call.")


@cache
def schema_of(kind: type[BaseModel]) -> dict[str, Any]:
    """Return the inputSchema of a tool with such arguments."""
    schema = kind.model_json_schema()
    properties = {name: _without_null(each) for name, each in schema["properties"].items()}
    return {"type": "object", "properties": properties, "required": schema["required"], "additionalProperties": False}


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    # A model needs no second way to leave an argument out.
    kinds = [each for each in schema.get("anyOf", ()) if each.get("type") != "null"]
    whole = {**schema, **(kinds[0] if kinds else {})}
    return {name: value for name, value in whole.items() if name not in ("anyOf", "default", "title")}


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
