"""Small teams that differ in kind, for each transport of the messages between their agents."""

import base64
from itertools import pairwise
from typing import Any

from agency_swarm import Agency, Agent, BaseTool, Handoff, MasterContext, SendMessage, ToolOutputImage, function_tool
from agents import (
    GuardrailFunctionOutput,
    ModelSettings,
    RunContextWrapper,
    input_guardrail,
    output_guardrail,
)
from pydantic import BaseModel, Field

from tests.library.features.messages import batches, to
from tests.library.features.transports import Ledger, Team
from tests.library.model_server import Failure, ModelRequest, scripts

PIXEL = "data:image/png;base64," + base64.b64encode(b"\x89PNG\r\n").decode()
TEAMS: dict[str, Team] = {}


def agent(name: str, **fields: Any) -> Agent:
    return Agent(**{"name": name, "instructions": f"I am {name}.", "description": f"{name} works.", **fields})


def flows(*chains: str, **fields: Any) -> Agency:
    """An agency of agents without tools. chains: "Boss>Aide>Clerk"."""
    return wired({}, *chains, **fields)


def wired(given: dict[str, Agent], *chains: str, **fields: Any) -> Agency:
    named = dict.fromkeys(name for chain in chains for name in chain.split(">"))
    agents = {name: given.get(name) or agent(name) for name in named}
    pairs = [pair for chain in chains for pair in _pairs([agents[name] for name in chain.split(">")])]
    return Agency(next(iter(agents.values())), communication_flows=pairs, **fields)


def _pairs(agents: list[Agent]) -> list[Any]:
    return [*pairwise(agents)]


def passing_on(recipient: str, *marks: str) -> Any:
    """A script: a message for each mark, in one batch, and one more in the next."""

    def script(turn: Any) -> Any:
        first = [to(recipient, f"{turn.message}{mark}") for mark in marks]
        return batches(first, [to(recipient, f"{turn.message}!")])(turn)

    return script


def answering(turn: Any) -> str:
    return f"re {turn.message} after {len(turn.earlier)}"


def calling(*calls: tuple[str, dict[str, Any]]) -> Any:
    return batches([*calls])


TEAMS["parallel, and a second batch"] = Team(
    create=lambda ledger: flows("Boss>Clerk", "Boss>Other"),
    scripts={
        "Boss": batches([to("Clerk", "a"), to("Clerk", "b"), to("Other", "c"), to("Clerk", "d")], [to("Clerk", "e")]),
        "Clerk": answering,
        "Other": answering,
    },
    turns=[{"input": "go"}, {"input": "again", "stream": True}],
)


def _working(ledger: Ledger) -> list[Any]:
    class Compute(BaseTool):
        """Computes."""

        number: int

        def run(self) -> str:
            ledger.append(("Compute", self.number))
            return str(self.number * 2)

    @function_tool
    async def note(word: str) -> str:
        """Notes."""
        ledger.append(("note", word))
        return f"noted {word}"

    @function_tool
    def draw(word: str) -> Any:
        """Draws."""
        ledger.append(("draw", word))
        return ToolOutputImage(image_url=PIXEL)

    return [Compute, note, draw]


def _worker(turn: Any) -> Any:
    word = turn.message
    return batches([("note", {"word": word}), ("Compute", {"number": len(word)})], [("draw", {"word": word})])(turn)


TEAMS["three levels with tools"] = Team(
    create=lambda ledger: wired({"Clerk": agent("Clerk", tools=_working(ledger))}, "Boss>Aide>Clerk"),
    scripts={"Boss": batches([to("Aide", "x"), to("Aide", "y")]), "Aide": passing_on("Clerk", "1"), "Clerk": _worker},
    turns=[{"input": "go", "stream": True}],
)

TEAMS["siblings that call tools"] = Team(
    create=lambda ledger: wired({"Clerk": agent("Clerk", tools=_working(ledger))}, "Boss>Aide>Clerk"),
    scripts={
        "Boss": batches([to("Aide", "x"), to("Aide", "y")], [to("Aide", "z"), to("Nobody", "1"), to("Nobody", "2")]),
        "Aide": passing_on("Clerk", "1", "2"),
        "Clerk": calling(*(("note", {"word": word}) for word in "abc")),
    },
)

TEAMS["two senders of one recipient"] = Team(
    create=lambda ledger: flows("Boss>One>Clerk", "Boss>Two>Clerk", "Boss>Clerk"),
    scripts={
        "Boss": batches([to("One", "x"), to("Two", "x"), to("Clerk", "x")], [to("Clerk", "y")]),
        "One": passing_on("Clerk", "1", "2"),
        "Two": passing_on("Clerk", "1", "2"),
        "Clerk": answering,
    },
)

TEAMS["five steps"] = Team(
    create=lambda ledger: wired(
        {"Planfix": agent("Planfix", tools=_working(ledger))}, "Manager>Planfix", "Manager>Writer", "Writer>Planfix"
    ),
    scripts={
        "Manager": batches([to("Planfix", "create")], [to("Writer", "write")]),
        "Planfix": calling(("note", {"word": "task"})),
        "Writer": batches([to("Planfix", "details")]),
    },
    turns=[{"input": "go"}, {"input": "more"}],
)


def _asking_back(name: str, back: str) -> Any:
    """Asks back once; then answers."""

    def script(turn: Any) -> Any:
        return batches([to(back, f"{turn.message}>{name}")])(turn) if len(turn.message) < 9 else answering(turn)

    return script


TEAMS["asked back, and a circle"] = Team(
    create=lambda ledger: flows("Boss>Aide", "Aide>Clerk", "Clerk>Aide"),
    scripts={
        "Boss": batches([to("Aide", "short"), to("Aide", "?")]),
        "Aide": _asking_back("Aide", "Clerk"),
        "Clerk": lambda turn: batches([to("Aide", turn.message)])(turn),
    },
)


def _handing_off(ledger: Ledger) -> Agency:
    boss, aide, clerk, other = (agent(name) for name in ("Boss", "Aide", "Clerk", "Other"))
    return Agency(
        boss, communication_flows=[(boss, aide), (aide, clerk, Handoff), (clerk, other), (boss, other, Handoff)]
    )


TEAMS["handoffs within a message and before one"] = Team(
    create=_handing_off,
    scripts={
        "Boss": batches([to("Aide", "a"), to("Aide", "b")], [to("Aide", "c")]),
        "Aide": lambda turn: [("transfer_to_Clerk", {"recipient_agent": "Clerk"})],
        "Clerk": batches([("transfer", {})], [to("Other", "x")]),
        "Other": answering,
    },
)


def _guarded(ledger: Ledger) -> Agency:
    @input_guardrail
    async def polite(context: Any, agent: Any, text: Any) -> GuardrailFunctionOutput:
        rude = "rude" in str(text)
        return GuardrailFunctionOutput(output_info="Be polite." if rude else "", tripwire_triggered=rude)

    @output_guardrail
    async def short(context: Any, agent: Any, text: Any) -> GuardrailFunctionOutput:
        long = "long" in str(text)
        return GuardrailFunctionOutput(output_info="Be short." if long else "", tripwire_triggered=long)

    strict = agent("Strict", input_guardrails=[polite], raise_input_guardrail_error=True)
    mild = agent("Mild", input_guardrails=[polite], raise_input_guardrail_error=False)
    brief = agent("Brief", output_guardrails=[short], validation_attempts=1)
    never = agent("Never", output_guardrails=[short], validation_attempts=0)
    given = {"Strict": strict, "Mild": mild, "Brief": brief, "Never": never}
    return wired(given, "Boss>Strict", "Boss>Mild", "Boss>Brief", "Boss>Never")


_GUARDED = {
    "Boss": batches(
        [to(name, f"{word} {name}") for name in ("Strict", "Mild") for word in ("rude", "kind")],
        [to("Brief", "x"), to("Never", "y")],
        [to("Strict", "z"), to("Brief", "z"), to("Never", "z")],
    ),
    "Strict": answering,
    "Mild": answering,
    "Brief": lambda turn: "a long answer",
    "Never": lambda turn: "a long answer",
}


def _is_reminded(request: ModelRequest) -> bool:
    return "I am Brief" in request.instructions and "Be short." in str(request.items[-1])


TEAMS["guardrails"] = Team(
    create=_guarded,
    answer=lambda request: "ok" if _is_reminded(request) else scripts(_GUARDED)(request),
)


class Sum(BaseModel):
    value: int
    unit: str


def _instructed(ledger: Ledger) -> Agency:
    clerk = agent("Clerk", output_type=Sum)
    clerk.instructions = _instructions
    given = {"Boss": agent("Boss"), "Clerk": clerk}
    return wired(given, "Boss>Clerk", "Boss>Other", "Boss>Plain", shared_instructions="Be kind.")


TEAMS["output type, and instructions of three kinds"] = Team(
    create=_instructed,
    scripts={
        "Boss": batches(
            [to("Clerk", "a", "For a."), to("Clerk", "b", "For b."), to("Other", "c", "For c.")],
            [to("Clerk", "bad")],
            [to("Clerk", "d"), to("Other", "e")],
        ),
        "Clerk": lambda turn: "no JSON" if turn.message == "bad" else '{"value": 3, "unit": "m"}',
        "Other": answering,
    },
)


_ONE_EACH = [
    [to("Clerk", "a", "For a.")],
    [to("Strict", "rude")],
    [to("Brief", "b", "For b.")],
    [to("Clerk", "bad")],
    [to("Strict", "kind")],
    [to("Never", "c"), to("Clerk", "d")],
    [to("Nobody", "e"), to("Brief", "")],
]


def _one_at_a_time(ledger: Ledger) -> Agency:
    guarded = _guarded(ledger)
    clerk = agent("Clerk", output_type=Sum)
    given = {**guarded.agents, "Boss": agent("Boss"), "Clerk": clerk}
    recipients = ("Clerk", "Strict", "Brief", "Never")
    return wired(given, *(f"Boss>{name}" for name in recipients), "Strict>Brief", shared_instructions="Be kind.")


def _answer_one(request: ModelRequest) -> Any:
    if _is_reminded(request):
        return "ok"
    clerk = lambda turn: "no JSON" if turn.message == "bad" else '{"value": 3, "unit": "m"}'  # noqa: E731
    ask = batches([to("Brief", "from Strict")])
    return scripts({**_GUARDED, "Boss": batches(*_ONE_EACH), "Strict": ask, "Clerk": clerk})(request)


TEAMS["one message at a time"] = Team(
    create=_one_at_a_time, answer=_answer_one, turns=[{"input": "go"}, {"input": "more"}]
)


async def _instructions(context: RunContextWrapper[MasterContext], agent: Any) -> str:
    known = context.context
    return f"I am {agent.name} of {known.user_context['owner']}, {known.user_context['metadata']}, " + str(
        len(known.thread_manager.get_all_messages())
    )


def _asking(ledger: Ledger) -> Agency:
    class Ask(SendMessage):
        """Asks with a priority."""

        tool_name = "ask"
        priority: int = Field(description="1 to 3", ge=1, le=3)

    boss, clerk, other = agent("Boss"), agent("Clerk"), agent("Other")
    return Agency(boss, communication_flows=[(boss, clerk, Ask), (boss, other)])


def _ask(message: str, **more: Any) -> tuple[str, dict[str, Any]]:
    return "ask", {**to("clerk", message)[1], **more}


TEAMS["a tool of its own, and wrong arguments"] = Team(
    create=_asking,
    scripts={
        "Boss": batches(
            [_ask("a", priority=1), _ask("b", priority=9), to("other", "c"), to("Nobody", "d"), to("Other", "")],
            [_ask("e", priority=2)],
        ),
        "Clerk": answering,
        "Other": answering,
    },
)


_NUMBERS: dict[int, dict[str, int]] = {}  # by ledger: ids of responses


def _remembering(ledger: Ledger) -> Agency:
    numbers = _NUMBERS.setdefault(id(ledger), {})

    @function_tool
    async def remember(context: RunContextWrapper[MasterContext], name: str, value: str) -> str:
        """Remembers."""
        context.context.user_context[name] = value
        return "ok"

    @function_tool
    async def recall(context: RunContextWrapper[MasterContext]) -> str:
        """Recalls."""
        known = {**context.context.user_context}
        known["response_id"] = numbers.setdefault(known["response_id"], len(numbers))
        known["conversation_id"] = known["conversation_id"][:5]
        ledger.append(sorted(map(str, known.items())))
        return str(sorted(known.items()))

    both = [remember, recall]
    given = {name: agent(name, tools=both) for name in ("Boss", "Aide", "Clerk")}
    return wired(given, "Boss>Aide>Clerk", user_context={"colour": "red", "list": [1]})


def _storing(turn: Any) -> Any:
    return batches([("remember", {"name": turn.message, "value": "1"})], [to("Clerk", f"{turn.message}2")])(turn)


TEAMS["user context"] = Team(
    create=_remembering,
    scripts={
        "Boss": batches(
            [("remember", {"name": "boss", "value": "0"})],
            [to("Aide", "a")],
            [("recall", {}), ("remember", {"name": "colour", "value": "blue"})],
            [to("Aide", "b")],
            [("recall", {})],
        ),
        "Aide": _storing,
        "Clerk": calling(("recall", {})),
    },
    turns=[{"input": "go", "metadata": {"of": "me"}}],
)


def _with_client_tool(turn: Any) -> Any:
    made = [call.tool for call in turn.calls]
    if "send_message" not in made:
        return [to("Clerk", turn.message), ("weather", {"city": "Rome"}), to("Clerk", "b")]
    return [to("Clerk", "c")] if made.count("send_message") == 2 else "done"


def _output_of_client(response: dict[str, Any]) -> dict[str, Any]:
    (call,) = [item for item in response["output"] if item["type"] == "function_call" and item["name"] == "weather"]
    output = {"type": "function_call_output", "call_id": call["call_id"], "output": "sunny"}
    return {"input": [output], "tools": _WEATHER}


_WEATHER = [
    {
        "type": "function",
        "name": "weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    }
]
TEAMS["a client's tool, and three turns"] = Team(
    create=lambda ledger: flows("Boss>Clerk"),
    scripts={"Boss": _with_client_tool, "Clerk": answering},
    turns=[
        {"input": "go", "tools": _WEATHER},
        _output_of_client,
        {"input": "again", "tools": _WEATHER},
    ],
)

TEAMS["fewer tool calls than wanted"] = Team(
    create=lambda ledger: wired({"Clerk": agent("Clerk", tools=_working(ledger))}, "Boss>Aide>Clerk"),
    scripts={
        "Boss": batches([to("Aide", "a")], [to("Aide", "b")]),
        "Aide": lambda turn: batches([to("Clerk", turn.message)])(turn),
        "Clerk": lambda turn: batches([("note", {"word": f"{turn.message}1"}), ("note", {"word": "2"})])(turn),
    },
    turns=[{"input": "go", "max_tool_calls": 5}],
)


def _failing(request: ModelRequest) -> Any:
    asked = str(request.items[-1])
    if "I am Clerk" in request.instructions and "never" in asked:
        return Failure(400, '{"error": {"message": "bad input", "type": "invalid_request_error"}}')
    if "I am Clerk" in request.instructions and "cut" in asked:
        return Failure(0, after=3)
    script = {"Boss": batches([to("Clerk", "never"), to("Clerk", "fine")], [to("Clerk", "later")]), "Clerk": answering}
    return scripts(script)(request)


TEAMS["a colleague whose model fails"] = Team(create=lambda ledger: flows("Boss>Clerk"), answer=_failing)


def _thinking(request: ModelRequest) -> Any:
    from openai.types.responses import ResponseReasoningItem

    from agency_lambda.framework.offline_model import output_items
    from tests.library.model_server import Items

    script = {"Boss": batches([to("Clerk", "a"), to("Clerk", "b")], [to("Clerk", "c")]), "Clerk": answering}
    thought = ResponseReasoningItem(id="rs_1", type="reasoning", summary=[], encrypted_content="secret")
    plan: Any = scripts(script)(request)
    return Items([thought, *output_items(plan)])


TEAMS["reasoning that is encrypted"] = Team(
    create=lambda ledger: wired(
        {name: agent(name, model_settings=ModelSettings(store=False)) for name in ("Boss", "Clerk")}, "Boss>Clerk"
    ),
    answer=_thinking,
    turns=[{"input": "go"}, {"input": "more"}],
)
