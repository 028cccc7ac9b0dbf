"""Whatever a run says, the deltas of its stream make the message of its whole completion."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from agency_lambda.protocol.chat.chunks import ChunkBuilder
from agency_lambda.protocol.chat.completion import completion
from agency_lambda.protocol.chat.request import CreateChatCompletion
from agency_lambda.protocol.chat.stop import StopSequences
from agency_lambda.protocol.file_links import FileLinks
from agency_lambda.protocol.output import OutputBuilder
from agency_lambda.protocol.request import CreateResponse
from agency_lambda.protocol.response_object import new_response
from tests.library.protocols.chat import joined

RESPONSE = new_response(CreateResponse(model="desk", input="x"), "resp_1", None)
CITED = {"type": "url_citation", "url": "https://a.example", "title": "A", "start_index": 0, "end_index": 1}
USAGE = {
    "input_tokens": 3,
    "input_tokens_details": {"cached_tokens": 2, "cache_write_tokens": 1},
    "output_tokens": 5,
    "output_tokens_details": {"reasoning_tokens": 4},
    "total_tokens": 8,
}


def summary(*texts: str) -> list[dict[str, Any]]:
    return [{"type": "summary_text", "text": text} for text in texts]


texts = st.text("ab STOP\n😀", max_size=9)
parts = st.one_of(
    texts.map(lambda text: {"type": "output_text", "text": text, "annotations": [CITED] if len(text) == 3 else []}),
    st.just({"type": "refusal", "refusal": "No."}),
)
items = st.one_of(
    st.lists(parts, max_size=2).map(lambda content: {"type": "message", "role": "assistant", "content": content}),
    texts.map(lambda text: {"type": "function_call", "call_id": "c", "name": "f", "arguments": text}),
    texts.map(lambda text: {"type": "reasoning", "summary": summary(text), "tool": "t"}),
    st.lists(texts, max_size=3).map(lambda texts: {"type": "reasoning", "summary": summary(*texts)}),
    st.just({"type": "image_generation_call", "agent": "One", "result": "aWdz"}),
)


def chat(**fields: Any) -> CreateChatCompletion:
    return CreateChatCompletion.model_validate({"model": "desk", "messages": [{"role": "user"}], **fields})


def both(asked: CreateChatCompletion, said: list[dict[str, Any]]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the whole completion of a run that says so, and what its stream makes."""
    events: list[dict[str, Any]] = []
    output = OutputBuilder(lambda kind, **fields: events.append({"type": kind, **fields}), "resp_1")
    for number, item in enumerate(said):
        output.add(item, f"item_{number}")
    final = {**RESPONSE, "status": "completed", "output": output.items, "usage": USAGE}
    builder = ChunkBuilder(asked, RESPONSE, FileLinks())
    chunks = [builder.begin()]
    for event in [*events, {"type": "response.completed", "response": final}]:
        chunks += builder.chunks(event)
    return completion(asked, [final], FileLinks()), joined([*chunks, *builder.end()])


@given(st.lists(items, max_size=5), st.booleans(), st.sampled_from([None, "STOP", ["O", "b S"], [" ", "P"]]))
def test_a_stream_makes_the_whole_completion(said: list[dict[str, Any]], reasoning: bool, stop: Any) -> None:
    asked = chat(include_reasoning=reasoning, stop=stop, stream_options={"include_usage": True})
    whole, shown = both(asked, said)
    message, reason = whole["choices"][0]["message"], whole["choices"][0]["finish_reason"]
    assert (message["content"] or "", message["refusal"]) == (shown["content"], shown.get("refusal"))
    for name in ("reasoning_content", "images"):
        assert message.get(name) == shown.get(name)
    assert message["annotations"] == shown.get("annotations", [])
    assert (reason, whole["usage"]) == (shown["finish_reason"], shown["usage"])
    if reason == "tool_calls":
        assert message["tool_calls"] == shown["tool_calls"]


@given(st.text("abc", max_size=12), st.lists(st.text("abc", min_size=1, max_size=3), max_size=3), st.data())
def test_a_text_is_cut_at_the_same_place_however_it_comes(text: str, stops: list[str], data: st.DataObject) -> None:
    ends = [end for end in range(len(text) + 1) if text[:end].endswith(tuple(stops)) and stops]
    longest = max((len(stop) for stop in stops if ends and text[: ends[0]].endswith(stop)), default=0)
    cut, shown, place = StopSequences(stops), "", 0
    while place < len(text):
        size = data.draw(st.integers(1, 4))
        shown += cut.add(text[place : place + size])
        place += size
    assert (shown + cut.end(), cut.found) == (text[: ends[0] - longest] if ends else text, bool(ends))


def ended(*output: dict[str, Any], status: str = "completed") -> dict[str, Any]:
    """Return the completion of a run that ends with this output."""
    reason = {"reason": "max_output_tokens"} if status == "incomplete" else None
    final = {**RESPONSE, "status": status, "incomplete_details": reason, "output": [*output], "usage": USAGE}
    return completion(chat(), [final], FileLinks())["choices"][0]


def said(text: str, status: str = "completed") -> dict[str, Any]:
    content = [{"type": "output_text", "text": text, "annotations": []}]
    return {"type": "message", "role": "assistant", "status": status, "content": content}


def test_what_an_interrupted_attempt_has_begun_to_say_is_said_once() -> None:
    message = ended(said("Dear No", "incomplete"), said("Dear Nordwind"))["message"]
    assert message["content"] == "Dear Nordwind"
    cut = ended(said("One."), said("Dear No", "incomplete"), status="incomplete")
    assert (cut["message"]["content"], cut["finish_reason"]) == ("One.\n\nDear No", "length")


def test_half_a_call_is_not_made() -> None:
    call = {"type": "function_call", "call_id": "c", "name": "f", "arguments": '{"a"', "status": "incomplete"}
    cut = ended(call, status="incomplete")
    assert (cut["message"].get("tool_calls"), cut["finish_reason"]) == (None, "length")


def test_parts_of_a_summary_are_paragraphs_whole_and_streamed() -> None:
    thinks = {"type": "reasoning", "summary": summary("**One**", "**Two**")}
    whole, shown = both(chat(include_reasoning=True), [thinks, thinks])
    text = "**One**\n\n**Two**\n\n**One**\n\n**Two**"
    assert whole["choices"][0]["message"]["reasoning_content"] == shown["reasoning_content"] == text


def test_usage_of_what_continues_a_run_is_added() -> None:
    first, rest = ({**RESPONSE, "id": name, "status": "completed", "usage": USAGE} for name in ("resp_1", "resp_2"))
    made = completion(chat(), [first, rest], FileLinks())
    assert (made["id"], made["usage"]["total_tokens"]) == ("resp_1", 16)
    builder = ChunkBuilder(chat(stream_options={"include_usage": True}), RESPONSE, FileLinks())
    for response in (first, rest):
        assert list(builder.chunks({"type": "response.completed", "response": response})) == []
    assert [*builder.end()][-1]["usage"] == made["usage"]


def test_deltas_are_padded_where_asked() -> None:
    builder = ChunkBuilder(chat(stream_options={"include_obfuscation": True}), RESPONSE, FileLinks())
    chunks = [*builder.chunks({"type": "response.output_text.delta", "item_id": "m", "delta": "Hi"})]
    assert all(isinstance(chunk["obfuscation"], str) for chunk in chunks)
    assert "obfuscation" not in ChunkBuilder(chat(), RESPONSE, FileLinks()).begin()


def test_usage_is_counted_as_chat_clients_know_it() -> None:
    assert both(chat(), [])[0]["usage"] == {
        "prompt_tokens": 3,
        "completion_tokens": 5,
        "total_tokens": 8,
        "prompt_tokens_details": {"cached_tokens": 2, "cache_write_tokens": 1, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": 4,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }
