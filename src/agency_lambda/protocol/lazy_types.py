"""Models of the openai package as parts of a request, imported when a client sends one: that package takes long."""

from dataclasses import dataclass
from importlib import import_module
from typing import Any

from pydantic import BaseModel, GetCoreSchemaHandler, GetJsonSchemaHandler, TypeAdapter
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema


def without_nulls(given: Any) -> Any:
    """Return an object without its nulls, which clients send for what they do not set; anything else as it is."""
    return {key: value for key, value in given.items() if value is not None} if isinstance(given, dict) else given


@dataclass(frozen=True)
class LazyType:
    """`Annotated[Any, Sent("openai.types.shared", "Reasoning")]`: checked as a field of that type would be."""

    module: str
    name: str

    @property
    def _model(self) -> type[BaseModel]:
        model: type[BaseModel] = getattr(import_module(self.module), self.name)
        return model

    def _read(self, given: Any) -> BaseModel:
        return self._model.model_validate(without_nulls(given))

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(self._read)

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return handler(TypeAdapter(self._model).core_schema)
