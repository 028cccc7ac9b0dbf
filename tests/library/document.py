"""Whether answers are what the OpenAPI document says, and nothing else."""

import json
import re
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import best_match

Document = dict[str, Any]


def problems(document: Document, method: str, path: str, status: int, kind: str, body: bytes) -> list[str]:
    """Return a line for the body, or for each event of a stream, that is not as the document says."""
    operation = document["paths"][template(document, path)][method.lower()]
    answer = operation["responses"].get(str(status))
    if answer and "$ref" in answer:
        answer = document["components"]["responses"][answer["$ref"].rpartition("/")[2]]
    if answer is None or kind not in answer["content"]:
        return [f"{method} {path}: {status} {kind} is not in the document"]
    schema = {**answer["content"][kind]["schema"], "components": closed(document["components"])}
    validator = Draft202012Validator(schema)
    bodies = events(body) if kind == "text/event-stream" else [json.loads(body)]
    found = [(each, best_match(validator.iter_errors(each))) for each in bodies]
    return [f"{method} {path}: {error.json_path}: {error.message[:300]} in {each}" for each, error in found if error]


def template(document: Document, path: str) -> str:
    """Return the path of the document that answers a request's path, or ""."""
    path = path.partition("?")[0]
    if path in document["paths"]:
        return path
    patterns = {each: re.sub(r"\{[a-z_]+\}", "[^/]+", each) for each in document["paths"]}
    return next((each for each, pattern in patterns.items() if re.fullmatch(pattern, path)), "")


def closed(value: Any) -> Any:
    """Return a schema without properties that it does not name."""
    if isinstance(value, list):
        return [closed(each) for each in value]
    if not isinstance(value, dict):
        return value
    inner = {key: closed(each) for key, each in value.items()}
    return {"additionalProperties": False, **inner} if isinstance(value.get("properties"), dict) else inner


def events(stream: bytes) -> list[Any]:
    lines = (line.removeprefix("data: ") for line in stream.decode().splitlines() if line.startswith("data: "))
    return [json.loads(line) for line in lines if line != "[DONE]"]
