"""What the provider's own tools make for the user: images and citations, whole and streamed, and no megabytes twice."""

from collections.abc import Callable
from typing import Any, ClassVar

import pytest
from agency_swarm import Agency, Agent, output_guardrail
from agents import GuardrailFunctionOutput
from openai.types.responses import Response
from openai.types.responses.response_output_item import ImageGenerationCall, McpCall
from openai.types.responses.response_output_text import AnnotationURLCitation

from agency_lambda import catalogue
from agency_lambda.framework.models.events import message_item
from tests.library.conftest import Service
from tests.library.features.rows import holds
from tests.library.runs.stage import Plays, play, said

LIVE = pytest.mark.parametrize("stream", [True, False])
PNG = "iVBORw0KGgo="


def image(result: str | None = PNG, status: Any = "completed") -> ImageGenerationCall:
    made = ImageGenerationCall(id="ig_1", type="image_generation_call", status=status, result=result)
    return made.model_copy(update={"revised_prompt": "secret prompt"})


def solo(*answers: Any, **settings: Any) -> Callable[[], Agency]:
    return lambda: Agency(Agent(name="Solo", instructions=".", model=Plays(*answers), **settings))


def shape(item: dict[str, Any]) -> tuple[Any, ...]:
    return item["type"], item.get("result"), item["status"]


DRAWN = ("image_generation_call", PNG, "completed")


@holds("image_generation")
@LIVE
def test_an_image_is_an_item_of_the_answer(stream: bool) -> None:
    shown = play(solo([image(), message_item("Here it is.")]), stream=stream)
    assert shape(shown.items[0]) == DRAWN
    assert shown.words == ["Here it is."]
    assert "secret" not in shown
    read = Response.model_validate({**shown.response, "tool_choice": "auto"}).output[0]
    assert isinstance(read, ImageGenerationCall)
    if stream:
        carrying = [event["type"] for event in shown.events if PNG in str(event)]
        assert carrying == ["response.output_item.done", "response.completed"]


@LIVE
def test_an_image_that_was_not_made_has_failed(stream: bool) -> None:
    shown = play(solo([image(None, "failed"), message_item("Sorry.")]), stream=stream)
    assert shape(shown.items[0]) == ("image_generation_call", None, "failed")


@LIVE
def test_an_image_of_a_guarded_agent_comes_when_its_words_do(stream: bool) -> None:
    def guarded(refuse: bool) -> Callable[[], Agency]:
        @output_guardrail
        def check(context: Any, agent: Any, text: Any) -> GuardrailFunctionOutput:
            return GuardrailFunctionOutput(output_info="No.", tripwire_triggered=refuse)

        return solo([image(), message_item("Here.")], output_guardrails=[check], validation_attempts=0)

    shown = play(guarded(False), stream=stream)
    assert [shape(item) for item in shown.items if "result" in item] == [DRAWN]
    assert PNG not in play(guarded(True), stream=stream)


@LIVE
def test_an_image_of_a_colleague_is_an_activity(stream: bool) -> None:
    from tests.library.runs.test_response_builder import asking, scripted

    def desk() -> Agency:
        boss = scripted("Boss", lambda turn: "offline model" if turn.calls else [asking("Aide")])
        aide = Agent(name="Aide", instructions=".", model=Plays([image(), message_item("drawn")]))
        return Agency(boss, communication_flows=[boss > aide])

    shown = play(desk, stream=stream)
    assert "Aide uses image_generation" in shown.activities
    assert PNG not in shown


@LIVE
def test_images_that_no_answer_can_hold_say_so(stream: bool) -> None:
    large = "A" * 2_500_000
    shown = play(solo([image(large), image(large), message_item("Two.")]), stream=stream)
    first, second, _ = shown.items
    assert (len(first["result"]), first["status"]) == (2_500_000, "completed")
    assert (second["result"], second["status"]) == (None, "failed")
    assert "smaller" in second["error"]["message"]


@holds("citations")
@LIVE
def test_citations_come_with_the_words(stream: bool) -> None:
    cited = message_item("See there.")
    annotation = AnnotationURLCitation(type="url_citation", url="https://a.test", title="A", start_index=0, end_index=3)
    cited.content[0].annotations = [annotation]  # type: ignore[union-attr]
    shown = play(solo([cited]), stream=stream)
    assert shown.items[0]["content"][0]["annotations"] == [annotation.model_dump()]


def test_tools_of_an_mcp_server_at_the_provider_are_named() -> None:
    called = McpCall(id="mcp_1", type="mcp_call", name="search", server_label="shop", arguments="secret")
    shown = play(solo([called, message_item("found")]))
    assert [said(item) for item in shown.items] == ["Solo uses search", "found"]
    assert "secret" not in shown


class Notes(Plays):
    """Notes what it is asked."""

    asked: ClassVar[list[str]] = []

    async def get_response(self, *args: Any, **kwargs: Any) -> Any:
        Notes.asked.append(str(args[1] if len(args) > 1 else kwargs["input"]))
        return await super().get_response(*args, **kwargs)


LARGE = "A" * 1_500_000


@pytest.fixture
def drawn(start: Callable[..., Service], monkeypatch: pytest.MonkeyPatch) -> tuple[Service, Any]:
    """A service, and a stored response with a large image."""

    def desk() -> Agency:
        return Agency(Agent(name="Solo", instructions=".", model=Notes([image(LARGE), message_item("Here.")])))

    monkeypatch.setattr(catalogue, "factories", lambda: {"desk": desk})
    monkeypatch.setattr(Notes, "asked", [])
    service = start()
    return service, service.respond("Draw.", model="desk")


def test_a_stored_image_is_read_again(drawn: tuple[Service, Any]) -> None:
    service, made = drawn
    assert made["output"][0]["result"] == LARGE
    assert service.get(f"/v1/responses/{made['id']}")[1]["output"] == made["output"]


@pytest.mark.parametrize("way", ["stored", "sent_back"])
def test_a_later_turn_does_not_pay_for_it(drawn: tuple[Service, Any], way: str) -> None:
    service, made = drawn
    if way == "stored":
        service.respond("Bluer.", model="desk", previous_response_id=made["id"])
    else:
        back = [{"role": "user", "content": "Draw."}, *made["output"], {"role": "user", "content": "Bluer."}]
        service.respond(back, model="desk", store=False)
    assert "Bluer." in Notes.asked[1]
    assert LARGE not in Notes.asked[1]
