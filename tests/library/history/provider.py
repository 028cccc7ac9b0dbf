"""A loopback provider that refuses what `rules` says, and answers what a script says that its models do.

with Provider() as provider:
    provider.script = {"Entry": ["tool", "text"]}   # kinds of answers, by agent; then plain texts
    ...
    assert provider.refusals == []
    provider.forget()                               # every id that it has given
"""

import itertools
import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self

from tests.library.history.rules import Item, Made, Refused, check_chat, check_responses

TOOL = ("add", '{"a": 1, "b": 2}')
_SEND = '{"recipient_agent": "Colleague", "message": "Do it.", "additional_instructions": ""}'
_HANDOFF = ("transfer_to_Partner", '{"recipient_agent": "Partner"}')
_AGENTS = ("Entry", "Colleague", "Partner")


class Answers:
    """The outputs of every kind of answer. Ids of calls begin anew in each answer, as careless servers have it."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1)

    def of(self, kind: str, encrypted: bool) -> tuple[list[Item], str | None]:
        """(output items, why it is incomplete)."""
        self._encrypted = encrypted
        words, _, reason = kind.partition("!")
        output: list[Item] = []
        for word in words.split("+"):
            output += self._items(word, len([item for item in output if item["type"] == "function_call"]))
        return output, {"cut": "max_output_tokens", "filtered": "content_filter"}.get(reason)

    def _items(self, word: str, calls: int) -> list[Item]:
        number = next(self._numbers)
        match word:
            case "nothing":
                return []
            case "reasoning":
                more = {"encrypted_content": f"gAAA{number}"} if self._encrypted else {}
                return [{"id": f"rs_{number}", "type": "reasoning", "summary": [], **more}]
            case "text":
                return [self._message(number, {"type": "output_text", "text": f"Words {number}.", "annotations": []})]
            case "half":
                part = {"type": "output_text", "text": "Half of", "annotations": []}
                return [{**self._message(number, part), "status": "incomplete"}]
            case "refusal":
                return [self._message(number, {"type": "refusal", "refusal": "I cannot."})]
            case "blank":
                return [self._message(number, {"type": "output_text", "text": "", "annotations": []})]
            case "empty":
                return [{**self._message(number, {}), "content": []}]
            case "search":
                action = {"type": "search", "query": "paper"}
                return [{"id": f"ws_{number}", "type": "web_search_call", "status": "completed", "action": action}]
            case "shell":  # no agent has one
                action = {"type": "exec", "command": ["ls"], "env": {}}
                more = {"call_id": f"call_{calls}", "action": action, "status": "completed"}
                return [{"id": f"lsh_{number}", "type": "local_shell_call", **more}]
        return [self._call(word, number, calls)]

    def _message(self, number: int, part: Item) -> Item:
        return {
            "id": f"msg_{number}",
            "type": "message",
            "role": "assistant",
            "status": "completed",
            "phase": "final_answer",
            "content": [part],
        }

    def _call(self, word: str, number: int, calls: int) -> Item:
        name, arguments = {
            "tool": TOOL,
            "same": TOOL,
            "send": ("send_message", _SEND),
            "handoff": _HANDOFF,
            "unknown": ("functions.nobody", "{}"),
            "malformed": ("add", '{"a": 1, '),
            "client": ("weather", "{}"),
            "judge": ("judge", "{}"),
        }[word]
        call_id = "call_0" if word == "same" else f"call_{calls}"
        more = {"call_id": call_id, "name": name, "arguments": arguments, "status": "completed"}
        return {"id": f"fc_{number}", "type": "function_call", **more}


class Provider:
    """Serves from a thread of its own until the `with` block ends."""

    def __init__(self) -> None:
        self.script: dict[str, list[str]] = {}
        self.refusals: list[str] = []
        self.bodies: list[Item] = []
        self.encrypts = True
        self.reads_encrypted = True
        self.refuse: Callable[[Item], Item | None] = lambda body: None  # the error of a 400
        self.item_id: str | None = None  # of every item, of careless servers
        self.made, self.answers = Made(), Answers()
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), type("Door", (_Door,), {"provider": self}))
        self._http.daemon_threads = False
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,))

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self._http.server_port}/v1"

    def forget(self) -> None:
        self.made.forget()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()

    def answer(self, chat: bool, body: Item) -> tuple[int, Item]:
        self.bodies.append(body)
        if error := self.refuse(body):
            return 400, {"error": {"type": "invalid_request_error", "param": None, "code": None, **error}}
        try:
            check_chat(body) if chat else check_responses(body, self.made)
            self._check_encryption(body)
        except (Refused, KeyError, ValueError) as refused:
            self.refusals.append(f"{refused} {json.dumps(body.get('input') or body.get('messages'))[-3000:]}")
            return 400, {"error": {"message": str(refused), "type": "invalid_request_error", "code": None}}
        agent = self._agent(chat, body)
        kinds = self.script.get(agent, [])
        kind = kinds.pop(0) if kinds else "text"
        if kind.isdigit():
            return int(kind), {"error": {"message": "no", "type": "test", "code": None}}
        output, reason = self.output(kind, body)
        if self.item_id is not None:
            output = [{**item, "id": self.item_id} for item in output]
        if chat:
            return 200, _completion(output, reason)
        self.made.note(output, body["model"], stored=body.get("store") is not False)
        return 200, _response(output, reason, body["model"])

    def output(self, kind: str, body: Item) -> tuple[list[Item], str | None]:
        """Return what a model says, and why it is incomplete."""
        encrypted = self.encrypts and "reasoning.encrypted_content" in body.get("include", ())
        return self.answers.of(kind, encrypted)

    def _check_encryption(self, body: Item) -> None:
        if not self.encrypts and "reasoning.encrypted_content" in body.get("include", ()):
            raise Refused("Encrypted content is not supported with this model.")
        sent = body.get("input")
        if not self.reads_encrypted and isinstance(sent, list) and any("encrypted_content" in item for item in sent):
            raise Refused("invalid_encrypted_content: The encrypted content could not be verified.")

    def _agent(self, chat: bool, body: Item) -> str:
        said = str(body["messages"][0]["content"]) if chat else body.get("instructions") or ""
        return next((name for name in _AGENTS if f"You are {name}" in said), "")


_USAGE = {
    "input_tokens": 10,
    "output_tokens": 10,
    "total_tokens": 20,
    "input_tokens_details": {"cached_tokens": 0},
    "output_tokens_details": {"reasoning_tokens": 0},
}


def _response(output: list[Item], reason: str | None, model: str) -> Item:
    return {
        "id": "resp_1",
        "object": "response",
        "created_at": 1,
        "model": model,
        "status": "incomplete" if reason else "completed",
        "incomplete_details": {"reason": reason} if reason else None,
        "error": None,
        "output": output,
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        "usage": _USAGE,
    }


def _completion(output: list[Item], reason: str | None) -> Item:
    """Chat has one message: no reasoning, no hosted tools."""
    texts = [part for item in output if item["type"] == "message" for part in item["content"]]
    message: Item = {"role": "assistant", "content": "".join(part.get("text", "") for part in texts) or None}
    if refusal := "".join(part.get("refusal", "") for part in texts):
        message["refusal"] = refusal
    if calls := [item for item in output if item["type"] == "function_call"]:
        function = [{"name": call["name"], "arguments": call["arguments"]} for call in calls]
        message["tool_calls"] = [
            {"id": call["call_id"], "type": "function", "function": each}
            for call, each in zip(calls, function, strict=True)
        ]
    reasons = {"max_output_tokens": "length", "content_filter": "content_filter"}
    finish = reasons.get(reason or "", "tool_calls" if calls else "stop")
    usage = {"prompt_tokens": 10, "completion_tokens": 10, "total_tokens": 20}
    choice = {"index": 0, "message": message, "finish_reason": finish}
    return {"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice], "usage": usage}


def _events(answer: Item) -> Iterator[Item]:
    """An answer's stream, without its deltas: the last event has it all."""
    if "choices" in answer:
        yield from _chunks(answer)
        return
    begun = {**answer, "status": "in_progress", "output": []}
    yield {"type": "response.created", "response": begun}
    for number, item in enumerate(answer["output"]):
        empty = {"content": []} if item["type"] == "message" else {"arguments": ""} if "arguments" in item else {}
        yield {"type": "response.output_item.added", "output_index": number, "item": {**item, **empty}}
        yield {"type": "response.output_item.done", "output_index": number, "item": item}
    yield {"type": f"response.{answer['status']}", "response": answer}


def _chunks(answer: Item) -> Iterator[Item]:
    (choice,) = answer["choices"]
    head = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    delta = {name: value for name, value in choice["message"].items() if value is not None}
    for index, call in enumerate(delta.get("tool_calls", ())):
        call["index"] = index
    yield {**head, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]}
    yield {**head, "choices": [{"index": 0, "delta": {}, "finish_reason": choice["finish_reason"]}]}
    yield {**head, "choices": [], "usage": answer["usage"]}


class _Door(BaseHTTPRequestHandler):
    provider: Provider
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1

    def log_message(self, *_: object) -> None:
        pass

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        chat = self.path.endswith("/chat/completions")
        status, answer = self.provider.answer(chat, body)
        data, kind = json.dumps(answer).encode(), "application/json"
        if status == 200 and body.get("stream"):
            events = [{"sequence_number": number, **event} for number, event in enumerate(_events(answer))]
            lines = [f"data: {json.dumps(event)}\n\n" for event in events] + (["data: [DONE]\n\n"] if chat else [])
            data, kind = "".join(lines).encode(), "text/event-stream"
        self.send_response(status)
        headers = {"Content-Type": kind, "Content-Length": str(len(data)), "x-should-retry": "false"}
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)
        self.wfile.flush()
