"""The same requests through every entry point of the service: status, headers and bytes are the same."""

import json
import re
from base64 import urlsafe_b64decode
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from hashlib import sha256
from itertools import count
from typing import Any
from zlib import decompress

import pytest

from agency_lambda.protocol.bounds import BODY, FILE_PART
from agency_lambda.settings import get_settings
from tests.library.conftest import QUESTION
from tests.library.document import Document, problems, template
from tests.library.files.forms import BOUNDARY, file_form, form
from tests.library.runtime.entry_points import Answer, Buffered, Case, Served, Streamed
from tests.library.runtime.environments import KEY

RUN = {"threadId": "t", "runId": "r", "messages": [{"id": "u", "role": "user", "content": QUESTION}]}
ASK = {"model": "letters", "input": QUESTION}
BYTES = bytes(range(255, -1, -1)) * (FILE_PART // 256)
FORM = f"multipart/form-data; boundary={BOUNDARY}"
UPLOAD = {"bytes": 2, "filename": "a.bin", "mime_type": "application/octet-stream", "purpose": "user_data"}
CHAT = {"model": "letters", "messages": [{"role": "user", "content": QUESTION}]}
_RESPONSE, _ITEM = r'"(resp_[^"]+)"', r'"(msg_[^"]+)"'
RPC = {"jsonrpc": "2.0", "id": 1, "method": "tools/call"}
CALL = {"name": "letters", "arguments": {"message": QUESTION}}
MCP: tuple[dict[str, Any], ...] = (
    {"method": "tools/list"},
    {"params": CALL},
    {"params": {**CALL, "_meta": {"progressToken": 1}}},
    {"params": {"name": "nobody"}},
)
CASES = [
    Case("GET", "/health", key=""),
    Case("GET", "/agencies"),
    Case("POST", "/completion", {"message": QUESTION}),
    Case("POST", "/completion", {"message": "Grüße & 你好", "thread_id": "t"}),
    Case("POST", "/v1/responses", ASK, keep=("response", _RESPONSE)),
    Case("POST", "/v1/responses", {**ASK, "stream": True}, keep=("streamed", _RESPONSE)),
    Case("GET", "/v1/responses/{response}"),
    Case("GET", "/v1/responses/{streamed}?stream=true&starting_after=3"),
    Case("GET", "/v1/responses/{response}?stream=true"),
    Case("GET", "/v1/responses/{response}/input_items?limit=1&order=asc"),
    Case("POST", "/v1/responses/{response}/cancel"),
    Case("GET", "/v1/responses/{response}/trace"),
    Case("GET", "/v1/responses?limit=2"),
    Case("POST", "/v1/responses/cancel"),
    Case("GET", "/v1/approvals?limit=1"),
    Case("GET", "/v1/approvals/mcpr_1"),
    Case("POST", "/v1/approvals/mcpr_1", {"approve": True}),
    Case("GET", "/v1/caller"),
    Case("GET", "/v1/usage?from=2020-01-01&to=2020-01-02"),
    *(  # for operators alone
        Case(method, f"/v1/admin/{path}")
        for method, path in (
            *(("GET", "responses"), ("POST", "responses/cancel?owner=alice"), ("GET", "responses/{response}")),
            *(("GET", "responses/{response}/trace"), ("POST", "responses/{response}/cancel"), ("GET", "usage")),
            *(("GET", "budgets/alice"), ("DELETE", "budgets/alice")),
        )
    ),
    Case("PUT", "/v1/admin/budgets/alice", {"runs_at_once": 1}),
    Case("POST", "/v1/responses", {**ASK, "previous_response_id": "{response}"}),
    Case("POST", "/v1/responses/compact", {**ASK, "input": [{"role": "user", "content": "hello"}]}),
    Case("DELETE", "/v1/responses/{response}"),
    Case("GET", "/v1/responses/{response}"),
    Case("POST", "/v1/conversations", {"metadata": {"a": "b"}}, keep=("conversation", r'"(conv_[^"]+)"')),
    Case("GET", "/v1/conversations?limit=1"),
    Case("GET", "/v1/conversations/{conversation}"),
    Case("POST", "/v1/conversations/{conversation}", {"metadata": {"a": "c"}}),
    Case(
        *("POST", "/v1/conversations/{conversation}/items"),
        {"items": [{"type": "message", "role": "user", "content": "Hallo, Straße"}]},
        keep=("item", _ITEM),
    ),
    Case("GET", "/v1/conversations/{conversation}/items"),
    Case("GET", "/v1/conversations/{conversation}/items/{item}"),
    Case("GET", "/v1/conversations/{conversation}/items?include[]=message.output_text.logprobs"),
    Case("POST", "/v1/responses/input_tokens", {**ASK, "conversation": "{conversation}"}),
    Case("DELETE", "/v1/conversations/{conversation}/items/{item}"),
    Case("DELETE", "/v1/conversations/{conversation}/items/{item}"),
    Case("POST", "/v1/responses", {**ASK, "conversation": "{conversation}", "stream": True}),
    Case("DELETE", "/v1/conversations/{conversation}"),
    Case("PUT", "/v1/webhooks", {"url": "https://hooks.example.com/", "events": ["response.failed"]}),
    Case("GET", "/v1/webhooks"),
    Case("GET", "/v1/webhooks/deliveries?limit=2"),
    Case("POST", "/v1/webhooks/deliveries/evt_1/redeliver"),
    Case("DELETE", "/v1/webhooks"),
    Case("POST", "/v1/files", file_form(BYTES, "a.bin"), keep=("file", r'"(file-[^"]+)"'), content_type=FORM),
    Case("GET", "/v1/files?limit=2"),
    Case("GET", "/v1/files/{file}"),
    Case("GET", "/v1/files/{file}/content"),
    Case("HEAD", "/v1/files/{file}/content"),
    Case("GET", "/v1/containers/cntr_1/files/{file}/content"),
    Case("DELETE", "/v1/files/{file}"),
    Case("GET", "/v1/files/{file}/content"),
    Case("POST", "/v1/files", file_form("Grüße".encode()), keep=("text", r'"(file-[^"]+)"'), content_type=FORM),
    Case("GET", "/v1/files/{text}/content"),
    Case("POST", "/v1/files", {"purpose": "user_data"}),
    Case("POST", "/v1/uploads", UPLOAD, keep=("upload", r'"(upload_[^"]+)"')),
    Case(
        "POST", "/v1/uploads/{upload}/parts", form(("data", b"\0\xff")), ("part", r'"(part_[^"]+)"'), content_type=FORM
    ),
    Case("POST", "/v1/uploads/{upload}/complete", {"part_ids": ["{part}"]}),
    Case("POST", "/v1/uploads/{upload}/cancel"),
    Case("POST", "/ag-ui/letters", RUN),
    Case("POST", "/ag-ui/letters/Writer", {**RUN, "runId": "r2", "state": {"a": ["ü"]}}),
    Case("POST", "/ag-ui/letters", RUN),
    Case("POST", "/ag-ui/letters", {**RUN, "messages": [{"role": "user"}]}),
    Case("POST", "/ag-ui/nobody", RUN),
    Case("POST", "/letters/get_response", {"message": QUESTION}, keep=("swarm", _RESPONSE)),
    Case("POST", "/letters/get_response_stream", {"message": QUESTION, "chat_history": [], "recipient_agent": None}),
    Case("POST", "/letters/cancel_response_stream", {"run_id": "{swarm}"}),
    Case("GET", "/letters/get_metadata"),
    Case("POST", "/nobody/get_response", {"message": QUESTION}),
    Case("GET", "/v1/models"),
    Case("GET", "/v1/models/letters"),
    *(Case("POST", "/mcp", {**RPC, **message}, accept="text/event-stream") for message in MCP),
    Case("POST", "/mcp", "{"),
    Case("GET", "/mcp"),
    Case("GET", "/.well-known/oauth-protected-resource"),
    Case("GET", "/.well-known/oauth-protected-resource/mcp"),
    Case("HEAD", "/health", key=""),
    Case("HEAD", "/v1/models"),
    Case("HEAD", "/v1/responses/{streamed}?stream=true"),
    Case("OPTIONS", "/v1/conversations/any"),
    Case("POST", "/v1/chat/completions", CHAT),
    Case("POST", "/v1/chat/completions", {**CHAT, "stream": True, "include_reasoning": True}),
    Case("GET", "/", key="", keep=("page", r'"(page/[0-9a-f]+)/')),
    Case("HEAD", "/", key=""),
    Case("GET", "/?code=1&state=2", key=""),
    *(Case("GET", f"/{{page}}/{name}", key="") for name in ("main.js", "style.css", "icon.svg", "boot.js")),
    *(Case("GET", path, key="") for path in ("/{page}/README.md", "/{page}/../settings.py", "/page/0/main.js")),
    Case("POST", "/{page}/main.js", key=""),
    Case("POST", "/"),
    # What goes wrong.
    Case("HEAD", "/v1/nowhere"),
    Case("GET", "/agencies", key=""),
    Case("GET", "/v1/models", key="another"),
    Case("GET", "/docs"),
    Case("GET", "/nowhere/at%20all"),
    Case("GET", "/v1/nowhere"),
    Case("GET", "/v1/models/nobody"),
    Case("PUT", "/completion", {}),
    Case("DELETE", "/v1/models"),
    Case("POST", "/completion", {"message": ""}),
    Case("POST", "/completion", {"message": "x", "more": 1}),
    Case("POST", "/completion", "{not json"),
    Case("POST", "/completion", {"message": "x"}, content_type="text/plain"),
    Case("POST", "/v1/responses", {"model": "nobody", "input": "x", "stream": True}),
    Case("POST", "/v1/responses", {"model": "letters", "input": [{"type": "what"}]}),
    Case("POST", "/v1/chat/completions", {**CHAT, "model": "nobody", "stream": True}),
    Case("POST", "/v1/chat/completions", {**CHAT, "n": 2}),
    Case("POST", "/completion", "x" * (BODY + 1)),
    Case("POST", "/v1/responses", "x" * (BODY + 1)),
]
# What only a server knows: when it answered and what it is called, and how long a stream will be before it is over.
_SERVERS = {"date", "server", "transfer-encoding"}
Answers = dict[str, list[Answer]]


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Answers]:
    """By entry point, in the order of CASES; each has a store of its own."""
    with ExitStack() as stack:
        entries = [stack.enter_context(each(tmp_path_factory.mktemp("entry"))) for each in (Streamed, Buffered, Served)]
        with ThreadPoolExecutor() as pool:
            given = list(pool.map(asked, [entry.ask for entry in entries]))
        yield {type(entry).__name__: answers for entry, answers in zip(entries, given, strict=True)}


def asked(ask: Callable[[Case], Answer]) -> list[Answer]:
    known: dict[str, str] = {}
    return [_kept(case, ask(filled(case, known)), known) for case in CASES]


def filled(case: Case, known: dict[str, str]) -> Case:
    def fill(text: str) -> str:
        return re.sub(r"\{([a-z]+)\}", lambda found: known[found[1]], text)

    body = (
        case.body
        if case.body is None or isinstance(case.body, str | bytes)
        else json.loads(fill(json.dumps(case.body)))
    )
    return case._replace(path=fill(case.path), body=body)


def _kept(case: Case, answer: Answer, known: dict[str, str]) -> Answer:
    if case.keep:
        name, pattern = case.keep
        found = re.search(pattern, answer.body.decode())
        assert found, answer
        known[name] = found[1]
    return answer


def comparable(answer: Answer) -> Answer:
    """Ids by the order in which they come, and no times."""
    numbers, seen = count(), dict[str, str]()

    def number(text: str) -> str:
        return re.sub(
            r"whsec_[\w+/=]+|[a-z]+[_-][0-9a-f]{16,}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}",
            lambda found: seen.setdefault(found[0], f"id {next(numbers)}"),
            text,
        )

    if answer.body:  # HEAD has the length of what GET would answer
        assert dict(answer.headers).get("content-length", str(len(answer.body))) == str(len(answer.body))
    length = {str(len(answer.body)): "right"}  # a compaction's is not always the same: its ids are compressed
    headers = [
        (name, length.get(value, value) if name == "content-length" else number(value))
        for name, value in answer.headers
        if name not in _SERVERS
    ]
    body = re.sub(
        r'("(?:created|(?:created|completed|started|ended|expires)_at|timestamp)": ?)[\d.]+',
        r"\1 0",
        answer.body.decode("latin-1"),
    )
    body = re.sub(r'"v1\.([\w=-]+)"', lambda found: decompress(urlsafe_b64decode(found[1])).decode(), body)
    return Answer(answer.status, headers, number(body).encode(errors="backslashreplace"))


@pytest.mark.parametrize("number", range(len(CASES)), ids=[f"{c.method} {c.path} {i}" for i, c in enumerate(CASES)])
def test_every_door_gives_the_same_answer(answers: Answers, number: int) -> None:
    streamed, buffered, served = (comparable(each[number]) for each in answers.values())
    assert streamed == buffered
    assert streamed == served


def test_the_errors_are_those_that_were_meant(answers: Answers) -> None:
    statuses = {answer.status for answer in answers["Streamed"]}
    assert {200, 400, 401, 404, 405, 413, 422} <= statuses


def test_a_stream_is_one(answers: Answers) -> None:
    answer = answers["Streamed"][5]
    assert ("content-type", "text/event-stream; charset=utf-8") in answer.headers
    assert "content-length" not in dict(answer.headers)
    assert answer.body.endswith(b"data: [DONE]\n\n")


@pytest.fixture
def document(clean_environment: pytest.MonkeyPatch) -> Document:
    clean_environment.setenv("API_KEYS", f"alice:{sha256(KEY.encode()).hexdigest()}")
    clean_environment.setenv("AWS_LAMBDA_FUNCTION_NAME", "api")
    get_settings.cache_clear()
    from agency_lambda.app import create_app

    return create_app().openapi()


def test_no_route_is_left_out(document: Document) -> None:
    paths = document["paths"]
    there = {(method.upper(), path) for path, methods in paths.items() for method in methods}
    assert ("POST", "/v1/responses/{response_id}/cancel") in there
    assert there <= {(case.method, template(document, case.path)) for case in CASES}


def test_answers_are_what_the_document_says(answers: Answers, document: Document) -> None:
    found = list[str]()
    for case, answer in zip(CASES, answers["Served"], strict=True):
        if case.method.lower() in document["paths"].get(template(document, case.path), {}):
            headers = dict(answer.headers)
            kind = headers["content-type"].partition(";")[0]
            if "content-disposition" in headers:  # the bytes of a file
                continue
            found += problems(document, case.method, case.path, answer.status, kind, answer.body)
    assert not found
