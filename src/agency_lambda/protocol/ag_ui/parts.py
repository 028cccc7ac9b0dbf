"""Parts of messages: text, and media with a source."""

from collections.abc import Iterable, Mapping
from typing import Any

from agency_lambda.protocol.ids import is_file_id
from agency_lambda.protocol.types import Item

_KNOWN = ("text", "image", "audio", "video", "document")
_LINK = "https://"  # which a provider may fetch, and nobody here
_SOURCES = (("data", "data"), ("url", "url"), ("id", "file"))  # a field of the part -> the type of its source


def with_known_parts(message: Any) -> Any:
    """Return a message whose parts are of the kinds of AG-UI 1.0."""
    content = message.get("content") if isinstance(message, dict) else None
    if not isinstance(content, list):
        return message
    return {**message, "content": [_known_part(part) for part in content]}


def _known_part(part: Any) -> Any:
    kind = part.get("type") if isinstance(part, dict) else None
    if kind == "binary":  # all media, before 0.0.48
        return _upgraded(part)
    return _left_out(kind) if isinstance(kind, str) and kind not in _KNOWN else part


def _upgraded(part: dict[str, Any]) -> dict[str, Any]:
    mime_type = part.get("mimeType", part.get("mime_type"))
    media = str(mime_type).partition("/")[0]
    found = [(kind, part[name]) for name, kind in _SOURCES if isinstance(part.get(name), str)]
    if not found:
        return _left_out("binary")
    source: dict[str, Any] = {"type": found[0][0], "value": found[0][1]}
    if isinstance(mime_type, str):
        source["mimeType"] = mime_type
    filename = {"metadata": {"filename": part["filename"]}} if part.get("filename") else {}
    return {"type": media if media in ("image", "audio", "video") else "document", "source": source, **filename}


def file_ids(messages: Iterable[Mapping[str, Any]]) -> set[str]:
    """Return the ids in messages that may be of the caller's files."""
    contents = (message.get("content") for message in messages)
    parts = (part for content in contents if isinstance(content, list) for part in content if part["type"] != "text")
    sources = (part["source"] for part in parts)
    return {each["value"] for each in sources if each["type"] == "file" and is_file_id(each["value"])}


def to_content(content: str | list[dict[str, Any]] | None, files: Mapping[str, str]) -> str | list[Item]:
    """Return the content of an input item. files: the caller's, by their ids: as which part each is sent."""
    if content is None or isinstance(content, str):
        return content or ""
    return [_to_part(part, files) for part in content]


def _to_part(part: dict[str, Any], files: Mapping[str, str]) -> Item:
    kind = part["type"]
    if kind == "text":
        return {"type": "input_text", "text": part["text"]}
    source = part["source"]
    if source["type"] == "file" and source["value"] in files:
        return {"type": files[source["value"]], "file_id": source["value"]}
    url = _url(source)
    if kind == "image" and url.startswith(("data:image/", _LINK)):
        return {"type": "input_image", "image_url": url}
    if kind == "document" and url.startswith(_LINK):
        return {"type": "input_file", "file_url": url}
    if kind == "document" and url.startswith("data:"):
        return {"type": "input_file", "filename": _filename(part), "file_data": url}
    return _to_part(_left_out(kind), files)  # it must not fail the run


def _left_out(kind: str) -> dict[str, Any]:
    return {"type": "text", "text": f"[A part of the type {kind[:99]!r} was left out: it cannot be read here.]"}


def _url(source: dict[str, Any]) -> str:
    """Return the data URL or the link of a source, "" for the id of a file."""
    if source["type"] == "data":
        return f"data:{source['mimeType']};base64,{source['value']}"
    return source["value"] if source["type"] == "url" else ""


def _filename(part: dict[str, Any]) -> str:
    metadata = part.get("metadata")
    name = metadata.get("filename") if isinstance(metadata, dict) else None
    return name if isinstance(name, str) and name else "document"
