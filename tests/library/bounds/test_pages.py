"""A page of a list fits into an answer, whatever its items; and following the pages gets every item exactly once."""

import json
from typing import Any

import pytest
from awslambdaric.lambda_runtime_marshaller import to_json
from fastapi.responses import JSONResponse
from hypothesis import given, settings
from hypothesis import strategies as st

from agency_lambda.protocol import bounds, stream
from agency_lambda.routes.paging import PageRequest, paginate

MOST = 3_000  # bytes, in place of 6 MB
TEXTS = st.builds(
    lambda part, times: part * times,
    st.sampled_from(
        ['"', "\\", "\n", "\x01", "a", "é", "😀", "\u2028", "\u2029", '{"a": "\\\\"}', "data:image/png;base64,AA"]
    ),
    st.integers(0, 100),
)


@pytest.fixture(autouse=True)
def as_on_lambda(monkeypatch: pytest.MonkeyPatch) -> None:
    """AWS's client writes UTF-8 there, and ASCII elsewhere."""
    monkeypatch.setenv("AWS_EXECUTION_ENV", "AWS_Lambda_python3.13")


def sent(body: Any) -> int:
    """Bytes of a body within the answer of a function, as AWS's own client writes it."""
    return len(to_json({"body": JSONResponse(body).body.decode()}).encode()) - len('{"body": ""}')


@settings(max_examples=200, derandomize=True, database=None, deadline=None)
@given(TEXTS)
def test_the_size_in_an_answer_is_what_awss_client_writes(text: str) -> None:
    assert bounds.size({"text": text}) == sent({"text": text})
    events = f"event: a\r\ndata: {json.dumps(text, ensure_ascii=False)}\n\n"
    assert bounds.encoded_size(events.encode()) == len(to_json(events).encode()) - 2


@pytest.mark.parametrize("text", ["x", "ж\n", "half an emoji: \ud83d", '"\\'])
def test_an_event_is_measured_as_it_is_sent(text: str) -> None:
    event = {"type": "response.output_text.delta", "sequence_number": 5, "delta": text}
    assert 0 <= stream._size(event) - (len(to_json(stream.encode_event(event).decode()).encode()) - 2) < 10
    assert json.loads(stream.encode_event(event).partition(b"data: ")[2]) == event


@settings(max_examples=200, derandomize=True, database=None, deadline=None)
@given(st.lists(TEXTS, max_size=30), st.sampled_from(["asc", "desc"]), st.integers(1, 12))
def test_every_page_fits_and_all_items_come_once(texts: list[str], order: Any, limit: int) -> None:
    items = [{"id": f"msg_{number}", "content": text} for number, text in enumerate(texts)]
    items = [item for item in items if bounds.size(item) < MOST - 1_000]  # what is larger is not kept
    found, after, more = list[Any](), None, True
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bounds, "ANSWER", MOST)
        while more:
            got = paginate(items, PageRequest(limit, order, after))
            assert sent(got) <= MOST
            assert got["data"] or not items
            assert len(got["data"]) <= limit
            found += got["data"]
            after, more = got["last_id"], got["has_more"]
            assert more == (len(found) < len(items))
    assert found == (items if order == "asc" else items[::-1])


def test_a_page_ends_only_where_one_more_would_be_too_much(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "ANSWER", MOST)
    items = [{"id": f"msg_{number}", "content": "x" * 950} for number in range(4)]
    assert [len(paginate(items, PageRequest(20, "asc", after))["data"]) for after in (None, "msg_1")] == [2, 2]
    assert len(paginate([{"id": "msg_0", "content": "x" * 9_000}], PageRequest(20, "asc", None))["data"]) == 1
