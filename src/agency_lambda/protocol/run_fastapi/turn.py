"""A request of `get_response` or `get_response_stream`, and its answer."""

from collections.abc import Iterator
from typing import Any

from agency_lambda.errors import InvalidRequest
from agency_lambda.protocol.client_names import ClientNames
from agency_lambda.protocol.items import text_of
from agency_lambda.protocol.request import CreateResponse
from agency_lambda.protocol.response_object import FINAL, ResponseObject
from agency_lambda.protocol.run_fastapi.approvals import answers, asked_last, sentence
from agency_lambda.protocol.run_fastapi.history import ChatHistory, is_message, plain
from agency_lambda.protocol.run_fastapi.items import Provenance, addressed_agent, entries, usage
from agency_lambda.protocol.run_fastapi.request import GetResponse
from agency_lambda.protocol.types import Item

_WORDS = 6  # of a chat's name
_NAMES = {
    **{r"input(?!\[)": "message", "instructions": "additional_instructions", "metadata": "user_context"},
    **{"model": "recipient_agent", "previous_response_id": ""},
}


class Turn:
    """What a client sends, and gets. Raises InvalidRequest if the history asks a person, and the message is no answer.

    may_decide: whether the client may answer what its agents ask.
    """

    def __init__(self, agency: str, body: GetResponse, *, may_decide: bool = True) -> None:
        self._agency, self._body, self.may_decide = agency, body, may_decide
        given, history = body.message, body.chat_history or []
        self._history = ChatHistory.read(agency, history)
        self._message: list[Item] = given if isinstance(given, list) else [{"role": "user", "content": given}]
        self._asked = asked_last(history)
        self._answers = answers(self._asked, self._message)

    @property
    def continues(self) -> bool:
        """Return whether the history is that of a response, if the owner has one with its id."""
        return self._history.response_id is not None and not self._answers

    def request(self, *, stream: bool, continues: bool) -> CreateResponse:
        """Raises InvalidRequest."""
        body, asked = self._body, self._asked[-1] if self._asked else {}
        model = f"{self._agency}/{body.recipient_agent}" if body.recipient_agent else self._agency
        before = self._history.response_id if continues else None
        if self._answers:  # the run that waits has been asked for by its own name
            named = asked.get("response_id")
            before, known = (isinstance(named, str) and named) or self._history.response_id, str(asked.get("model"))
            model = known if known.partition("/")[0] == self._agency else model
        return CreateResponse(
            model=model,
            input=[item for _, item in self._input(continues)],
            previous_response_id=before,
            instructions=body.additional_instructions,
            metadata=body.user_context,
            stream=stream,
        )

    def _input(self, continues: bool) -> Iterator[tuple[str, Item]]:
        """Yield items with their places in the body."""
        is_text = isinstance(self._body.message, str)
        if self._answers:  # they are sent alone
            yield from (
                ("message" if is_text else f"message[{number}]", item) for number, item in enumerate(self._answers)
            )
            return
        for number, message in self._history.messages[self._history.continued if continues else 0 :]:
            yield f"chat_history[{number}]", plain(message)
        for number, item in enumerate(self._with_files()):
            yield "message" if is_text else f"message[{number}]", item

    def _with_files(self) -> list[Item]:
        parts = [{"type": "input_file", "file_id": file_id} for file_id in self._body.file_ids or ()]
        if not parts:
            return self._message
        last = next((item for item in reversed(self._message) if item.get("role") == "user"), None)
        if last is None:
            raise InvalidRequest("Files belong to a message of the user, and there is none.", param="file_ids")
        content = last.get("content")
        own = [{"type": "input_text", "text": content}] if isinstance(content, str) else content
        if not isinstance(own, list):
            raise InvalidRequest("message: The content is a text or a list of parts.", param="message")
        return [{**item, "content": [*parts, *own]} if item is last else item for item in self._message]

    def names(self, *, continues: bool) -> ClientNames:
        items = list(self._input(continues))
        last = max((n for n, (_, item) in enumerate(items) if item.get("role") == "user"), default=0)
        files = {
            rf"input\[{last}\]\.content\[{number}\]\.file_id": f"file_ids[{number}]"
            for number in range(len(self._body.file_ids or ()))
        }
        return ClientNames({**_NAMES, **files}, [(place, {}) for place, _ in items])

    def answer(self, response: ResponseObject) -> dict[str, Any]:
        """Return the body of an answer that is not streamed."""
        payload = self.messages(response)
        spoken = [item for item in payload["new_messages"] if is_message(item) and item["role"] == "assistant"]
        return {"response": text_of(spoken[-1]["content"]) if spoken else None, **payload}

    def messages(self, response: ResponseObject) -> dict[str, Any]:
        """Return what is new, as the event `messages` has it."""
        counts, named = response.get("usage"), self._body.generate_chat_name
        return {
            "new_messages": self._new_messages(response),
            "run_id": response["id"],
            **({"cancelled": True} if response["status"] == "cancelled" else {}),
            **({"usage": usage(counts)} if counts else {}),
            **({"chat_name": self._chat_name()} if named else {}),
        }

    def _new_messages(self, response: ResponseObject) -> list[Item]:
        agent = self._body.recipient_agent or addressed_agent(response["output"], self._agency)
        provenance = Provenance(response["id"])
        sent = [{"type": "message", **item} if is_message(item) else dict(item) for item in self._message]
        new = [{**item, **provenance.of({"type": "message", "agent": agent})} for item in sent]
        asked = sentence(response, shows_content=self.may_decide)
        new += entries([*response["output"], *([asked] if asked else [])], provenance)
        of_run = {"response_id": response["id"], "model": response["model"]}
        new = [{**item, **of_run} if item["type"] == "mcp_approval_request" else item for item in new]
        if response["store"] and response["status"] in FINAL:
            self._mark(new, response["id"])
        return with_times(new, response)

    def _mark(self, new: list[Item], response_id: str) -> None:
        digest, last = self._history.digest, None
        for item in filter(is_message, new):
            digest.add(item)
            last = item
        if last is not None:
            last |= {"response_id": response_id, "history_digest": digest.hex}

    def _chat_name(self) -> str:
        messages = [message for _, message in self._history.messages] + self._message
        first = next((item for item in messages if item.get("role") == "user"), {})
        return " ".join(text_of(first.get("content")).split(None, _WORDS)[:_WORDS])


def with_times(items: list[Item], response: ResponseObject) -> list[Item]:
    """Add timestamps in microseconds, in the order of the items."""
    began = response["created_at"] * 1_000_000
    return [{**item, "timestamp": began + number} for number, item in enumerate(items)]
