"""Environments for the tests of our runtime client; none may break a rule of the Runtime API."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.library.runtime.environments import Environment, task_root
from tests.library.runtime.runtime_api import RuntimeApi

Start = Callable[..., Environment]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """start(handler, modules={name: source}, NAME=value, ...) -> Environment. held: a snapshot is not restored yet."""
    with ExitStack() as stack:
        apis: list[RuntimeApi] = []

        def environment(
            handler: str = "apps.handler", modules: dict[str, str] | None = None, held: bool = False, **more: str
        ) -> Environment:
            snap_start = more.get("AWS_LAMBDA_INITIALIZATION_TYPE") == "snap-start"
            apis.append(stack.enter_context(RuntimeApi(snap_start=snap_start)))
            if held:
                apis[-1].restore.clear()
            folder = tmp_path / str(len(apis))
            folder.mkdir()
            task_root(folder, **(modules or {}))
            more = {"PROGRESS": f"{tmp_path}/progress", **more}
            return stack.enter_context(Environment(apis[-1], folder, handler, **more))

        yield environment
    assert [each.violations for each in apis] == [[] for _ in apis]


@pytest.fixture(scope="module", params=["patch", "strict"])
def shared(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Environment]:
    """One environment of the small apps for all tests of a module, as invocations share one on Lambda."""
    folder = tmp_path_factory.mktemp("apps")
    more: dict[str, Any] = {"EVENT_LOOP": request.param, "PROGRESS": f"{folder}/progress"}
    with RuntimeApi(small=True) as api, Environment(api, folder, "apps.handler", **more) as environment:
        yield environment


@pytest.fixture
def apps(shared: Environment) -> Iterator[Environment]:
    """The shared environment: still there after the test, and no rule broken."""
    yield shared
    assert shared.process.poll() is None, shared.log
    violations, shared.api.violations = shared.api.violations, []
    assert violations == []
