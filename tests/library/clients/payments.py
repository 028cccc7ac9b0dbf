"""An agency that asks before it pays, served, and a strict provider that says what its agents do."""

import itertools
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import openai
from openai.types.responses import Response
from openai.types.responses.response_output_item import McpApprovalRequest
from payments.offline import next_step

from tests.library.clients.server import Server, serve
from tests.library.history.provider import Item, Provider

AGENCY = "payments"


class Model(Provider):
    """Does what the last message says, as `payments.offline` reads it."""

    def __init__(self) -> None:
        super().__init__()
        self._numbers = itertools.count(1)

    def output(self, kind: str, body: Item) -> tuple[list[Item], str | None]:
        agent = str(body["instructions"]).partition("You are ")[2].partition(".")[0]
        items: list[Item] = body["input"]
        asked = max(number for number, item in enumerate(items) if item.get("role") == "user")
        names = {item["call_id"]: item["name"] for item in items if item.get("type") == "function_call"}
        outputs = [
            item["output"]
            for item in items[asked:]
            if item.get("type") == "function_call_output" and not names[item["call_id"]].startswith("transfer_to_")
        ]
        message = items[asked]["content"]
        text = message if isinstance(message, str) else message[0]["text"]
        said = next_step(agent, text, outputs)
        if isinstance(said, str):
            part = {"type": "output_text", "text": said, "annotations": []}
            return [self._message(part)], None
        return [self._called(name, arguments) for name, arguments in said], None

    def _message(self, part: Item) -> Item:
        status = {"role": "assistant", "status": "completed", "phase": "final_answer"}
        return {"id": f"msg_{next(self._numbers)}", "type": "message", **status, "content": [part]}

    def _called(self, name: str, arguments: Item) -> Item:
        number = next(self._numbers)
        call = {"call_id": f"call_{number}", "name": name, "arguments": json.dumps(arguments), "status": "completed"}
        return {"id": f"fc_{number}", "type": "function_call", **call}


@dataclass(frozen=True)
class Payments:
    """server: serves AGENCY. model: what it asks."""

    server: Server
    model: Model
    file: Path

    @property
    def paid(self) -> list[str]:
        """To whom; each as often as it was paid."""
        return [line.split()[0] for line in self.file.read_text().splitlines()] if self.file.exists() else []


@contextmanager
def served(folder: Path, **settings: str) -> Iterator[Payments]:
    with (
        Model() as model,
        serve(
            folder,
            OPENAI_API_KEY="k",
            OPENAI_BASE_URL=model.base_url,
            PAYMENTS=str(folder / "paid"),
            **settings,
        ) as server,
    ):
        yield Payments(server, model, folder / "paid")


def requests(response: Response) -> list[McpApprovalRequest]:
    """Those that a response asks."""
    return [item for item in response.output if item.type == "mcp_approval_request"]


def answer(request: McpApprovalRequest, approve: bool = True, reason: str | None = None) -> Any:
    """What a client sends back."""
    more = {} if reason is None else {"reason": reason}
    return {"type": "mcp_approval_response", "approval_request_id": request.id, "approve": approve, **more}


def ask(client: openai.OpenAI, text: str, **fields: Any) -> Response:
    return client.responses.create(model=AGENCY, input=text, **fields)


def go_on(client: openai.OpenAI, asked: Response, *answers: Any, **fields: Any) -> Response:
    """Answer what a response asks: all of it with yes, unless there are answers."""
    given = list(answers) or [answer(request) for request in requests(asked)]
    return client.responses.create(model=AGENCY, input=given, previous_response_id=asked.id, **fields)
