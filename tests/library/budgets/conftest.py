"""A service whose owners have budgets, and what its store holds of them."""

from collections.abc import Callable
from typing import Any

import pytest

from agency_lambda.testing.events import http_event
from tests.library.conftest import Service


class Budgeted(Service):
    """The service, without keys: its one caller is "local" and an operator."""

    def set_budget(self, owner: str = "local", **limits: Any) -> Any:
        status, body = self.send(http_event("PUT", f"/v1/admin/budgets/{owner}", limits))
        assert status == 200, body
        return body

    def budget(self, owner: str = "local") -> Any:
        status, body = self.get(f"/v1/admin/budgets/{owner}")
        assert status == 200, body
        return body

    def ask_for(self, input: Any = "hello", **fields: Any) -> tuple[int, Any]:
        return self.post("/v1/responses", {"model": "letters", "input": input, **fields})


@pytest.fixture
def budgeted(start: Callable[..., Service]) -> Callable[..., Budgeted]:
    def started(**settings: Any) -> Budgeted:
        service = start(**settings)
        service.__class__ = Budgeted
        assert isinstance(service, Budgeted)
        return service

    return started
