"""The official Python client: conversations, and responses that continue each other."""

import asyncio
from typing import Any

import openai
import pytest
from openai.types.responses import Response

from tests.library.clients.server import MODEL, Server

ASKED = "What does client Nordwind want?"


def said(text: str, role: str = "user") -> Any:
    return {"type": "message", "role": role, "content": text}


def texts(items: Any) -> list[str]:
    return [item.content[0].text for item in items if item.type == "message"]


def test_a_conversation_is_kept_described_and_deleted(client: openai.OpenAI) -> None:
    made = client.conversations.create(metadata={"client": "Nordwind"}, items=[said("Hello.")])
    assert client.conversations.retrieve(made.id) == made
    assert made.metadata == {"client": "Nordwind"}
    assert client.conversations.update(made.id, metadata={"client": "Maier"}).metadata == {"client": "Maier"}
    assert texts(client.conversations.items.list(made.id)) == ["Hello."]
    assert client.conversations.delete(made.id).deleted
    with pytest.raises(openai.NotFoundError):
        client.conversations.retrieve(made.id)
    with pytest.raises(openai.NotFoundError):
        client.conversations.items.list(made.id)


def test_items_are_added_listed_page_by_page_and_retrieved(client: openai.OpenAI) -> None:
    conversation = client.conversations.create()
    client.conversations.items.create(conversation.id, items=[said(f"turn {n}") for n in range(5)])
    client.conversations.items.create(conversation.id, items=[said(f"turn {n}", "assistant") for n in range(5, 7)])
    listed = list(client.conversations.items.list(conversation.id, limit=2, order="asc"))
    assert texts(listed) == [f"turn {number}" for number in range(7)]
    assert texts(client.conversations.items.list(conversation.id, limit=3)) == texts(reversed(listed))
    for item in listed:
        assert client.conversations.items.retrieve(str(item.id), conversation_id=conversation.id) == item
    with pytest.raises(openai.NotFoundError):
        client.conversations.items.retrieve("msg_1", conversation_id=conversation.id)


def test_responses_in_a_conversation(client: openai.OpenAI) -> None:
    conversation = client.conversations.create(items=[said("Client Nordwind asks for a date.")])
    first = client.responses.create(model=MODEL, input="And the reply?", conversation=conversation.id)
    assert "Dear Nordwind" in first.output_text  # who asks was said before
    assert first.conversation
    assert first.conversation.id == conversation.id
    with client.responses.stream(model=MODEL, input="Another?", conversation={"id": conversation.id}) as stream:
        second = stream.get_final_response()
    kept = texts(client.conversations.items.list(conversation.id, order="asc"))
    assert kept == [
        *("Client Nordwind asks for a date.", "And the reply?", first.output_text, "Another?", second.output_text)
    ]


def test_a_tool_call_in_a_conversation(client: openai.OpenAI) -> None:
    conversation = client.conversations.create()
    tools: Any = [{"type": "function", "name": "get_time", "parameters": {"type": "object", "properties": {}}}]
    asked: Any = {"model": MODEL, "conversation": conversation.id, "tools": tools}
    called = client.responses.create(input="What time is it?", **asked).output[-1]
    assert called.type == "function_call"
    output: Any = {"type": "function_call_output", "call_id": called.call_id, "output": "noon"}
    assert "get_time answered: noon" in client.responses.create(input=[output], **asked).output_text
    kinds = [item.type for item in client.conversations.items.list(conversation.id, order="asc")]
    assert [kind for kind in kinds if kind != "reasoning"] == [
        *("message", "function_call", "function_call_output", "message")
    ]


def test_one_run_at_a_time(server: Server) -> None:
    async def crowd() -> tuple[list[Any], list[str]]:
        async with openai.AsyncOpenAI(**server.options()) as client:
            conversation = await client.conversations.create()
            asked: Any = {"model": MODEL, "conversation": conversation.id}
            made = await asyncio.gather(
                *(client.responses.create(input=f"turn {n}", **asked) for n in range(6)), return_exceptions=True
            )
            return made, texts([item async for item in client.conversations.items.list(conversation.id)])

    made, kept = asyncio.run(crowd())
    refused = [each for each in made if isinstance(each, openai.ConflictError)]
    assert refused
    assert {each.code for each in refused} == {"conversation_busy"}
    answered = [each for each in made if isinstance(each, Response)]
    assert len(answered) + len(refused) == 6
    assert len(kept) == 2 * len(answered) >= 2


def test_a_chain_and_a_branch(client: openai.OpenAI) -> None:
    def ask(text: str, previous: str | None = None) -> Response:
        return client.responses.create(model=MODEL, input=text, previous_response_id=previous)

    first = ask("Client Nordwind asks for a date.")
    second = ask("Client Maier GmbH asks for a date.", first.id)
    assert "Dear Maier GmbH" in ask("And the reply?", second.id).output_text
    assert "Dear Nordwind" in ask("And the reply?", first.id).output_text  # as if the second had never been
    assert "Dear Maier GmbH" in ask("And the reply?", second.id).output_text


def test_instructions_hold_for_one_run(client: openai.OpenAI) -> None:
    first = client.responses.create(model=MODEL, input="Hello.", instructions="Be brief.")
    second = client.responses.create(model=MODEL, input="Hello?", previous_response_id=first.id)
    assert (first.instructions, second.instructions) == ("Be brief.", None)


def test_what_cannot_be_continued(client: openai.OpenAI) -> None:
    unstored = client.responses.create(model=MODEL, input="Hello.", store=False)
    with pytest.raises(openai.NotFoundError) as refused:
        client.responses.create(model=MODEL, input="Go on.", previous_response_id=unstored.id)
    assert refused.value.param == "previous_response_id"
    with pytest.raises(openai.NotFoundError) as unknown:
        client.responses.create(model=MODEL, input="Go on.", conversation="conv_0")
    assert unknown.value.param == "conversation"


def test_a_stranger_finds_nothing(client: openai.OpenAI, server: Server) -> None:
    conversation = client.conversations.create(items=[said("Hello.")])
    with openai.OpenAI(**server.options(server.stranger)) as stranger:
        with pytest.raises(openai.NotFoundError):
            stranger.conversations.retrieve(conversation.id)
        with pytest.raises(openai.NotFoundError):
            stranger.responses.create(model=MODEL, input="Go on.", conversation=conversation.id)
