"""Responses as results of tools."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from agency_lambda import __version__
from agency_lambda.protocol import bounds
from agency_lambda.protocol.file_links import FileLinks
from agency_lambda.protocol.items import text_of
from agency_lambda.protocol.mcp.peer import PREFIX, Peer
from agency_lambda.protocol.mcp.tools import WAIT
from agency_lambda.protocol.response_object import ResponseObject
from agency_lambda.protocol.types import Item

Result = dict[str, Any]

SERVER = {"name": "agency-lambda", "title": "Agencies", "version": __version__}

_AROUND = 10_000  # bytes of an answer around the agent's text, which is in it twice
_TOO_LONG = "The answer has {size:,} bytes, which is too long here: GET /v1/responses/{id} returns it."
_INCOMPLETE = "The answer is incomplete: {reason}."
_AT_WORK = "The agency is still at work. Call the tool {wait!r} with response_id {id!r} to wait for its answer."
_WAITS = (
    "A person has to decide first: {what} It was not decided here; GET /v1/approvals shows it to whoever may. "
    "Call the tool {wait!r} with response_id {id!r} for the answer afterwards."
)


@dataclass(frozen=True)
class Files:
    """Shows the files that an answer cites."""

    links: FileLinks
    as_links: bool  # a kind of content that the first versions have not

    def cited(self, message: Item | None) -> list[dict[str, str]]:
        citations = {each["file_id"]: each for each in self.links.citations(message)} if message else {}
        return [{"file_id": name, "name": each["filename"], "uri": each["url"]} for name, each in citations.items()]

    def content(self, file: dict[str, str]) -> dict[str, str]:
        if self.as_links:
            return {"type": "resource_link", "uri": file["uri"], "name": file["name"]}
        return {"type": "text", "text": f"{file['name']}: {file['uri']}"}


def call_result(response: ResponseObject, files: Files, asked: Sequence[str] = ()) -> Result:
    """Return the result of a response that has not failed. asked: of persons, in words."""
    if response["status"] == "cancelled":
        return error_result("The run was cancelled.")
    message = _last_message(response)
    text = text_of(message["content"]) if message else ""
    if (size := bounds.size(text)) > (bounds.ANSWER - _AROUND) // 2:
        text = _TOO_LONG.format(size=size, id=response["id"])
    notes, cited = [note for note in (text, _note(response, asked)) if note], files.cited(message)
    structured = _structured(response, message, text, is_waiting=bool(asked))
    return {
        "content": [*({"type": "text", "text": note} for note in notes or [""]), *map(files.content, cited)],
        "structuredContent": {**structured, **({"files": cited} if cited else {})},
        "isError": False,
    }


def final_result(response: ResponseObject, files: Files) -> Result:
    error = response["error"]
    return error_result(error["message"]) if error else call_result(response, files)


def complete(peer: Peer, result: Result) -> Result:
    """Return a result with what this version of the protocol has in each."""
    return {"resultType": "complete", **result, "_meta": {f"{PREFIX}serverInfo": SERVER}} if peer.is_modern else result


def error_result(message: str) -> Result:
    return {"content": [{"type": "text", "text": message}], "isError": True}


def _structured(response: ResponseObject, message: Item | None, text: str, *, is_waiting: bool) -> dict[str, Any]:
    status = response["status"]
    agency = response["model"].partition("/")[0]
    conversation = (response.get("conversation") or {}).get("id")
    return {
        "response_id": response["id"],
        "status": status if status in ("completed", "incomplete") and not is_waiting else "in_progress",
        "answer": text,
        "agent": message and message.get("agent"),
        "conversation": conversation and conversation.removeprefix(f"{agency}/"),
    }


def _note(response: ResponseObject, asked: Sequence[str]) -> str | None:
    status, response_id = response["status"], response["id"]
    if asked:
        return _WAITS.format(what=" ".join(asked), wait=WAIT, id=response_id)
    if status == "completed":
        return None
    if status == "incomplete":
        details = response["incomplete_details"] or {}
        return _INCOMPLETE.format(reason=details.get("detail") or details.get("reason"))
    return _AT_WORK.format(wait=WAIT, id=response_id)


def _last_message(response: ResponseObject) -> Item | None:
    return next((item for item in reversed(response["output"]) if item["type"] == "message"), None)
