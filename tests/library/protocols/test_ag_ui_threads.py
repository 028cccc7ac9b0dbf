"""A client of AG-UI sends its whole conversation each time: the model is given that one and no other."""

import copy
import json
import random
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from agency_swarm import Agency, Agent

from tests.library.conftest import Service
from tests.library.model_server import ModelRequest, ModelServer
from tests.library.protocols.ag_ui import AgUi

LOOK = {"name": "look", "description": "Look.", "parameters": {"type": "object", "properties": {}}}
Items = list[dict[str, Any]]


def swarm() -> Agency:
    one, two = (Agent(name=name, instructions=f"You are {name}.", model="one") for name in ("One", "Two"))
    return Agency(one, communication_flows=[one > two])


class Model:
    """Answers with a number, calls the client's tool, or asks the colleague, who remembers."""

    def __init__(self) -> None:
        self.numbers = 0

    def __call__(self, request: ModelRequest) -> Any:
        self.numbers += 1
        last = request.items[-1]
        text = last.get("content") if last.get("role") == "user" else ""
        if text == "look":
            return [("look", {"at": str(self.numbers)})]
        if text == "ask":
            return [("send_message", {"recipient_agent": "Two", "message": "Say.", "additional_instructions": ""})]
        return f"Answer {self.numbers}.\n\nSo it is."


class Page(AgUi):
    """A client whose user does anything that interfaces offer."""

    chance: random.Random
    model: ModelServer

    def go(self) -> None:
        """Run, and check what the model was given."""
        expected = conversation(self.messages)
        self.run(tools=[LOOK])
        assert self.last["type"] == "RUN_FINISHED", self.last
        first = next(request for request in self.model.requests[self.before :] if "You are One" in request.instructions)
        assert given(first.items) == expected
        if self.pending and self.chance.random() < 0.7:
            calls = [{"id": f"t{name}", "role": "tool", "toolCallId": name, "content": name} for name in self.pending]
            self.messages += calls
            self.go()

    @property
    def before(self) -> int:
        return self._before

    def run(self, **fields: Any) -> list[dict[str, Any]]:
        self._before = len(self.model.requests)
        return super().run(**fields)

    @property
    def pending(self) -> list[str]:
        return list(self.last.get("outcome", {}).get("pendingToolCallIds", ()))

    def step(self) -> None:
        changes = [self.nothing] * 3 + [self.regenerate, self.edit, self.edit_in_place]
        changes += [self.forget, self.rename, self.reformat, self.half, self.instruct]
        change = self.chance.choice(changes)
        change()
        if change != self.regenerate or not any(each["role"] == "user" for each in self.messages):
            text = self.chance.choice(["look", "ask", f"say {self.chance.random()}"])
            self.messages.append({"id": f"u{self.chance.random()}", "role": "user", "content": text})
        self.go()

    def nothing(self) -> None:
        return

    def regenerate(self) -> None:
        while self.messages and self.messages[-1]["role"] != "user":
            self.messages.pop()

    def edit(self) -> None:
        """Change a message, and drop what came after it."""
        if users := [n for n, each in enumerate(self.messages) if each["role"] == "user"]:
            del self.messages[self.chance.choice(users) :]

    def edit_in_place(self) -> None:
        self.messages = copy.deepcopy(self.messages)
        if spoken := [each for each in self.messages if each["role"] in ("user", "assistant") and "content" in each]:
            changed = self.chance.choice(spoken)  # to as many letters: only their digest is kept
            changed["content"] = changed["content"].swapcase()

    def forget(self) -> None:
        """Drop the beginning, up to another message of the user."""
        if users := [n for n, each in enumerate(self.messages) if each["role"] == "user"]:
            del self.messages[: self.chance.choice(users[1:] or users)]

    def rename(self) -> None:
        self.messages = [{**each, "id": f"own{n}"} for n, each in enumerate(self.messages)]

    def reformat(self) -> None:
        """Change spaces in what the agents have said, and leave their thoughts out."""
        self.messages = [
            {**each, "content": each["content"].replace("\n\n", "\n")}
            if each["role"] == "assistant" and "content" in each
            else each
            for each in self.messages
            if each["role"] != "reasoning"
        ]

    def half(self) -> None:
        """Keep half of the last answer, as where a stream was broken off."""
        if self.messages and self.messages[-1]["role"] == "assistant" and self.messages[-1].get("content"):
            last = self.messages[-1]
            self.messages[-1] = {**last, "content": last["content"][: len(last["content"]) // 2]}

    def instruct(self) -> None:
        rest = [each for each in self.messages if each["role"] != "system"]
        self.messages = [{"id": "s", "role": "system", "content": f"Rule {self.chance.random()}"}, *rest]


def conversation(messages: Items) -> list[Any]:
    """Return what the model must be given, without spaces: a call that has no result has been passed over."""
    found: list[Any] = []
    outputs = {each["toolCallId"]: each["content"] for each in messages if each["role"] == "tool"}
    for each in messages:
        if each["role"] in ("user", "assistant") and each.get("content"):
            found.append((each["role"], words(each["content"])))
        found += [("call", call["function"]["arguments"]) for call in each.get("toolCalls", ())]
        found += [("output", words(outputs.get(call["id"], NO_RESULT))) for call in each.get("toolCalls", ())]
    return found


NO_RESULT = "(There is no result: the user went on without it.)"


def given(items: Items) -> list[Any]:
    """Return what a model was given, without what is the agents' own."""
    found: list[Any] = []
    own = {item["call_id"] for item in items if item.get("name") == "send_message"}
    for item in items:
        if item.get("type", "message") == "message":
            content = item["content"]
            text = content if isinstance(content, str) else "".join(part["text"] for part in content)
            found.append((item["role"], words(text)))
        elif item["call_id"] not in own and item["type"] == "function_call":
            found.append(("call", item["arguments"]))
        elif item["call_id"] not in own:
            found.append(("output", words(item["output"])))
    return found


def words(text: str) -> str:
    return "".join(text.split())


@pytest.fixture
def page(start: Callable[..., Service], monkeypatch: pytest.MonkeyPatch) -> Iterator[Page]:
    monkeypatch.setattr("agencies.AGENCIES", {"desk": swarm})
    with ModelServer(Model()) as server:
        page = Page(start(OPENAI_API_KEY="k", OPENAI_BASE_URL=server.base_url), "desk")
        page.model = server
        yield page


@pytest.mark.parametrize("seed", range(4))
def test_model_is_given_the_clients_conversation_whatever_the_user_does(page: Page, seed: int) -> None:
    page.chance = random.Random(seed)
    for _ in range(25):
        page.step()


def previous(page: Page) -> Any:
    return page.service.get(f"/v1/responses/{page.response_id}")[1]["previous_response_id"]


def sent(page: Page) -> int:
    return len(page.service.get(f"/v1/responses/{page.response_id}/input_items")[1]["data"])


def test_thread_that_goes_on_sends_what_is_new_and_agents_remember_their_own(page: Page) -> None:
    page.say("ask")
    first = page.response_id
    page.say("and?")
    assert (previous(page), sent(page)) == (first, 1)
    assert "send_message" in json.dumps(page.model.requests[-1].items)  # which no client has seen
    page.say("look", tools=[LOOK])
    second = page.response_id
    page.messages += [{"id": "t", "role": "tool", "toolCallId": name, "content": "seen"} for name in page.pending]
    page.run()
    assert (previous(page), sent(page)) == (second, 1)


def test_branch_goes_on_where_it_begins(page: Page) -> None:
    page.say("one")
    first = page.response_id
    page.say("two")
    page.messages = page.messages[:-2]
    page.say("other two")
    assert (previous(page), sent(page)) == (first, 1)


def test_other_spaces_and_lost_thoughts_change_nothing(page: Page) -> None:
    page.say("ask")
    first = page.response_id
    page.reformat()
    page.say("two")
    assert (previous(page), sent(page)) == (first, 1)


@pytest.mark.parametrize("change", ["edit_in_place", "rename", "forget"])
def test_what_the_client_has_changed_is_sent_as_it_says(page: Page, change: str) -> None:
    page.chance = random.Random(1)
    page.say("one")
    page.say("two")
    getattr(page, change)()
    page.say("three")
    assert previous(page) is None
    assert sent(page) == len([each for each in page.messages if each["role"] != "reasoning"]) - 1


def test_thread_outlives_its_responses(page: Page) -> None:
    page.say("one")
    page.service.delete(f"/v1/responses/{page.response_id}")
    page.say("two")
    assert (previous(page), sent(page)) == (None, 3)
