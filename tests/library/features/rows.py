"""The table in docs/agency-swarm.md, and what its tests have in common."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from agency_swarm import Agency, Agent

from agency_lambda.framework.offline_model import OfflineModel
from tests.library.model_server import ModelRequest, ModelServer
from tests.library.models.agencies import settings
from tests.library.runs.stage import Told, play

PAGE = Path(__file__).parents[3] / "docs" / "agency-swarm.md"
STATES = ("works", "works differently", "refused at start")


class Row(NamedTuple):
    """One feature of the table."""

    name: str
    feature: str
    state: str
    notes: str


def rows() -> list[Row]:
    """The rows of the table, in order."""
    lines = [line for line in PAGE.read_text().splitlines() if line.startswith("| `")]
    cells = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]
    return [Row(name.strip("`"), *rest) for name, *rest in cells]


def holds[F: Callable[..., Any]](*names: str) -> Callable[[F], F]:
    """Decorate the test that holds these rows of the table; `test_table.py` reads it."""
    return lambda test: test


def solo(script: Any = None, **settings: Any) -> Callable[[], Agency]:
    """An agency of one agent, which plays a script offline."""
    return lambda: Agency(
        Agent(**{"name": "Solo", "instructions": ".", "model": OfflineModel("Solo", script)} | settings)
    )


def calling(tool: str, **arguments: Any) -> Any:
    """A script that calls a tool once and answers with what it returned."""

    def script(turn: Any) -> Any:
        return f"offline model: {turn.calls[-1].output}" if turn.calls else [(tool, arguments)]

    return script


def at_provider(create: Callable[[], Agency], *answers: Any, **fields: Any) -> tuple[Told, list[ModelRequest]]:
    """One request with a provider on loopback: what the client is told, and what the provider was asked."""
    with ModelServer(list(answers) or ["done"]) as server:
        shown = play(create, settings(server.base_url), **fields)
    return shown, server.requests


def words(create: Callable[[], Agency], **fields: Any) -> str:
    """The last words to the user."""
    shown = play(create, **fields)
    assert shown.response["status"] == "completed", shown.response["error"]
    return shown.words[-1].removeprefix("offline model: ")
