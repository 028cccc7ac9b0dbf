"""The schemas of the types that the document names."""

from collections.abc import Iterator
from typing import Any, Literal

from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema

type Schema = dict[str, Any]
type Mode = Literal["validation", "serialization"]

_PREFIX = "#/components/schemas/"


def add_schemas(document: dict[str, Any]) -> None:
    """Put the types that stand in the document as `$ref` among its components."""
    schemas = document["components"]["schemas"]
    named = list(_named([document["paths"], document["components"]["responses"]], "serialization"))
    for mode in ("validation", "serialization"):
        places = [(schema, schema["$ref"]) for schema, its_mode in named if its_mode == mode]
        found = _generated({each.__name__: each for _, each in places}, mode, schemas)
        for schema, each in places:
            schema.clear()  # FastAPI has written there what the annotation says
            schema["$ref"] = found[each.__name__]


def _generated(types: dict[str, Any], mode: Mode, schemas: Schema) -> dict[str, str]:
    """Return references by name to what is added to `schemas`."""
    generator = GenerateJsonSchema(ref_template=_PREFIX + "{model}")
    found, definitions = generator.generate_definitions(
        [(name, mode, TypeAdapter(types[name]).core_schema) for name in sorted(types)]
    )
    added = {str(name): schema for name, schema in definitions.items()}
    renamed = {name: f"{name}Output" for name, each in added.items() if schemas.get(name, each) != each}
    schemas |= {renamed.get(name, name): _with_names(each, renamed) for name, each in added.items()}
    return {name: _with_names(found[name, mode]["$ref"], renamed) for name in types}


def without_titles(value: Any, *, names: bool = False) -> Any:
    """Return a schema without the titles that pydantic makes of names. names: the keys are names, of properties."""
    if isinstance(value, list):
        return [without_titles(each) for each in value]
    if not isinstance(value, dict):
        return value
    return {
        key: without_titles(each, names=key == "properties" and not names)
        for key, each in value.items()
        if names or key != "title" or not isinstance(each, str)
    }


def _named(value: Any, mode: Mode) -> Iterator[tuple[Schema, Mode]]:
    if isinstance(value, list):
        for each in value:
            yield from _named(each, mode)
    elif isinstance(value, dict):
        if not isinstance(value.get("$ref", ""), str):
            yield value, mode
        for key, each in value.items():
            yield from _named(each, "validation" if key == "requestBody" else mode)


def _with_names(value: Any, renamed: dict[str, str]) -> Any:
    if isinstance(value, list):
        return [_with_names(each, renamed) for each in value]
    if isinstance(value, dict):
        return {key: _with_names(each, renamed) for key, each in value.items()}
    if isinstance(value, str) and value.startswith(_PREFIX):  # of `$ref`, or of a discriminator's `mapping`
        name = value.removeprefix(_PREFIX)
        return _PREFIX + renamed.get(name, name)
    return value
