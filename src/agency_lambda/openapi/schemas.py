"""The schemas of the types that routes name as "module:name"."""

from collections.abc import Iterator
from importlib import import_module
from typing import Any, Literal

from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema

type Schema = dict[str, Any]
type Mode = Literal["validation", "serialization"]

_PREFIX = "#/components/schemas/"


def add_schemas(document: dict[str, Any]) -> None:
    """Put the types that are named in the document among its components."""
    schemas = document["components"]["schemas"]
    named = list(_named(document["paths"], "serialization"))
    for mode in ("validation", "serialization"):
        places = [schema for schema, its_mode in named if its_mode == mode]
        types = {name: _load(name) for name in sorted({place["$ref"] for place in places})}
        found = _generated(types, mode, schemas)
        for place in places:
            target = found[place["$ref"]]
            place.clear()  # FastAPI has written there what the annotation says
            place["$ref"] = target


def _generated(types: dict[str, Any], mode: Mode, schemas: Schema) -> dict[str, str]:
    """Return references by name to what is added to `schemas`."""
    generator = GenerateJsonSchema(ref_template=_PREFIX + "{model}")
    found, added = generator.generate_definitions(
        [(name, mode, TypeAdapter(each).core_schema) for name, each in types.items()]
    )
    definitions: dict[str, Schema] = {str(name): schema for name, schema in added.items()}
    for (name, _), schema in found.items():
        if "$ref" not in schema:  # the alias of a union
            definitions[name.partition(":")[2]] = {**schema}
    renamed = {name: f"{name}Output" for name, each in definitions.items() if schemas.get(name, each) != each}
    schemas |= {renamed.get(name, name): _with_names(each, renamed) for name, each in definitions.items()}
    labels = {name: found[name, mode].get("$ref", _PREFIX + name.partition(":")[2]) for name in types}
    return {name: _with_names(label, renamed) for name, label in labels.items()}


def without_titles(value: Any, *, names: bool = False) -> Any:
    """Return a schema without what pydantic makes of names. names: the keys are names, of properties or schemas."""
    if isinstance(value, list):
        return [without_titles(each) for each in value]
    if not isinstance(value, dict):
        return value
    return {
        key: without_titles(each, names=key in ("properties", "$defs") and not names)
        for key, each in value.items()
        if names or key != "title" or not isinstance(each, str)
    }


def _named(value: Any, mode: Mode) -> Iterator[tuple[Schema, Mode]]:
    if isinstance(value, list):
        for each in value:
            yield from _named(each, mode)
    elif isinstance(value, dict):
        if ":" in str(value.get("$ref", "")):
            yield value, mode
        for key, each in value.items():
            yield from _named(each, "validation" if key == "requestBody" else mode)


def _load(name: str) -> Any:
    module, _, attribute = name.partition(":")
    return getattr(import_module(module), attribute)


def _with_names(value: Any, renamed: dict[str, str]) -> Any:
    if isinstance(value, list):
        return [_with_names(each, renamed) for each in value]
    if isinstance(value, dict):
        return {key: _with_names(each, renamed) for key, each in value.items()}
    if isinstance(value, str) and value.startswith(_PREFIX):  # of `$ref`, or of a discriminator's `mapping`
        name = value.removeprefix(_PREFIX)
        return _PREFIX + renamed.get(name, name)
    return value
