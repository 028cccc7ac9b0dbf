"""Servers on loopback that speak as other vendors do.

They know Anthropic's Messages, Gemini's generateContent and Bedrock's Converse, each whole and streamed. Each answers
a question with WORDS; asked with a tool it calls the tool first. `requests` are (path, headers, body).
"""

import json
import struct
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import unquote

WORDS = "words of another vendor"
USAGE = (7, 5)  # tokens read and written
type Body = dict[str, Any]
type Reply = tuple[str, bytes]
"""(content type, body)"""


def anthropic(path: str, body: Body) -> Reply:
    assert path == "/v1/messages", path
    done = "tool_result" in json.dumps(body["messages"])
    call = {"type": "tool_use", "id": "toolu_1", "name": "look", "input": {"at": "it"}}
    content = [call] if body.get("tools") and not done else [{"type": "text", "text": WORDS}]
    usage = {"input_tokens": USAGE[0], "output_tokens": USAGE[1]}
    reason = "tool_use" if content == [call] else "end_turn"
    message = {"id": "msg_1", "type": "message", "role": "assistant", "model": body["model"], "content": content}
    whole = {**message, "stop_reason": reason, "stop_sequence": None, "usage": usage}
    if not body.get("stream"):
        return "application/json", json.dumps(whole).encode()
    (part,) = content
    delta = (
        {"type": "input_json_delta", "partial_json": json.dumps(part["input"])}
        if part is call
        else {"type": "text_delta", "text": WORDS}
    )
    empty = {**part, "input": {}} if part is call else {"type": "text", "text": ""}
    events = [
        {"type": "message_start", "message": {**whole, "content": [], "stop_reason": None}},
        {"type": "content_block_start", "index": 0, "content_block": empty},
        {"type": "content_block_delta", "index": 0, "delta": delta},
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": reason, "stop_sequence": None}, "usage": usage},
        {"type": "message_stop"},
    ]
    return "text/event-stream", "".join(f"event: {e['type']}\ndata: {json.dumps(e)}\n\n" for e in events).encode()


def gemini(path: str, body: Body) -> Reply:
    assert ":generateContent" in path or ":streamGenerateContent" in path, path
    done = "function_response" in json.dumps(body["contents"]).lower().replace("functionresponse", "function_response")
    part: Body = {"functionCall": {"name": "look", "args": {"at": "it"}}} if body.get("tools") and not done else {}
    whole = {
        "candidates": [
            {"content": {"role": "model", "parts": [part or {"text": WORDS}]}, "finishReason": "STOP", "index": 0}
        ],
        "usageMetadata": {
            "promptTokenCount": USAGE[0],
            "candidatesTokenCount": USAGE[1],
            "totalTokenCount": sum(USAGE),
        },
        "modelVersion": "gemini-test",
    }
    if ":streamGenerateContent" not in path:
        return "application/json", json.dumps(whole).encode()
    return "text/event-stream", f"data: {json.dumps(whole)}\n\n".encode()


def bedrock(path: str, body: Body) -> Reply:
    assert path.startswith("/model/"), path
    done = "toolResult" in json.dumps(body["messages"])
    calls = bool(body.get("toolConfig")) and not done
    usage = {"inputTokens": USAGE[0], "outputTokens": USAGE[1], "totalTokens": sum(USAGE)}
    use = {"toolUseId": "tooluse_1", "name": "look"}
    reason = "tool_use" if calls else "end_turn"
    if path.endswith("/converse"):
        content = {"toolUse": {**use, "input": {"at": "it"}}} if calls else {"text": WORDS}
        message = {"role": "assistant", "content": [content]}
        whole = {"output": {"message": message}, "stopReason": reason, "usage": usage, "metrics": {"latencyMs": 1}}
        return "application/json", json.dumps(whole).encode()
    delta = {"toolUse": {"input": '{"at": "it"}'}} if calls else {"text": WORDS}
    events = [
        ("messageStart", {"role": "assistant"}),
        *([("contentBlockStart", {"start": {"toolUse": use}, "contentBlockIndex": 0})] if calls else []),
        ("contentBlockDelta", {"delta": delta, "contentBlockIndex": 0}),
        ("contentBlockStop", {"contentBlockIndex": 0}),
        ("messageStop", {"stopReason": reason}),
        ("metadata", {"usage": usage, "metrics": {"latencyMs": 1}}),
    ]
    return "application/vnd.amazon.eventstream", b"".join(_frame(kind, event) for kind, event in events)


def _frame(kind: str, event: Body) -> bytes:
    """One message of AWS's event stream: lengths, headers, payload, and a checksum of each half."""
    payload = json.dumps(event).encode()
    named = {":event-type": kind, ":content-type": "application/json", ":message-type": "event"}
    headers = b"".join(
        struct.pack("!B", len(name)) + name.encode() + struct.pack("!BH", 7, len(value)) + value.encode()
        for name, value in named.items()
    )
    prelude = struct.pack("!II", 16 + len(headers) + len(payload), len(headers))
    message = prelude + struct.pack("!I", zlib.crc32(prelude)) + headers + payload
    return message + struct.pack("!I", zlib.crc32(message))


@contextmanager
def serving(answer: Callable[[str, Body], Reply]) -> Iterator[tuple[str, list[tuple[str, dict[str, str], Body]]]]:
    """(base URL, requests so far)."""
    requests: list[tuple[str, dict[str, str], Body]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            path = unquote(self.path)
            requests.append((path, {name.lower(): value for name, value in self.headers.items()}, body))
            kind, data = answer(path, body)
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", requests
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
