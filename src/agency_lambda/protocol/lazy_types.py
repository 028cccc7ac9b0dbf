"""Types of fields of a request that are imported when a client sends one, or when the OpenAPI document is asked for."""

from dataclasses import dataclass
from importlib import import_module
from typing import Any

from pydantic import BaseModel, GetCoreSchemaHandler, GetJsonSchemaHandler, RootModel, TypeAdapter
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema


def without_nulls(value: Any) -> Any:
    """Clients send null for unset fields."""
    return {key: each for key, each in value.items() if each is not None} if isinstance(value, dict) else value


@dataclass(frozen=True)
class LazyType:
    """Validates like the named type: Annotated[Any, LazyType("openai.types.shared", "Reasoning")]."""

    module: str
    name: str

    @property
    def _model(self) -> type[BaseModel]:
        model: type[BaseModel] = getattr(import_module(self.module), self.name)
        return model

    def _validate(self, value: Any) -> Any:
        valid = self._model.model_validate(without_nulls(value))
        return valid.root if isinstance(valid, RootModel) else valid

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(self._validate)

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return handler(_named(self._model))


@dataclass(frozen=True)
class DocumentedAs:
    """Is the named type in the OpenAPI document, and validates as it is annotated."""

    module: str
    name: str

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return handler(TypeAdapter(getattr(import_module(self.module), self.name)).core_schema)


def _named(model: type[BaseModel]) -> CoreSchema:
    """Return a schema to which the document refers by the model's name."""
    schema: Any = TypeAdapter(model).core_schema
    inner, definitions = (schema["schema"], schema["definitions"]) if schema["type"] == "definitions" else (schema, [])
    named = {"ref": f"{model.__module__}.{model.__qualname__}:{id(model)}", **inner}
    return core_schema.definitions_schema(named, definitions)
