"""The limits of `metadata`, as OpenAI has them."""

from typing import Any

from agency_lambda.errors import InvalidRequest

PAIRS, NAME, TEXT = 16, 64, 512  # a name and a text in characters


def check_metadata(value: dict[str, Any]) -> None:
    """Raise InvalidRequest, with OpenAI's messages, for metadata over OpenAI's limits."""
    if len(value) > PAIRS:
        message = (
            f"Invalid 'metadata': too many properties. Expected an object with at most {PAIRS} properties, but got an "
            f"object with {len(value)} properties instead."
        )
        raise InvalidRequest(message, param="metadata")
    for name, text in value.items():
        _check_length(name, NAME, "metadata")
        _check_length(text, TEXT, f"metadata.{name}")


def _check_length(text: Any, most: int, param: str) -> None:
    if isinstance(text, str) and len(text) > most:
        message = (
            f"Invalid {param!r}: string too long. Expected a string with maximum length {most}, but got a string with "
            f"length {len(text)} instead."
        )
        raise InvalidRequest(message, param=param)
