from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from fastapi import Depends, Query

from agency_lambda.protocol import bounds
from agency_lambda.protocol.response_object import ResponseObject
from agency_lambda.record.index_pages import PageQuery
from agency_lambda.record.run_list import RunFilter
from agency_lambda.routes.pages import not_in_list
from agency_lambda.runs.run_index import entry_key

_Status = Literal["queued", "in_progress", "completed", "incomplete", "failed", "cancelled"]
_Seconds = Annotated[int | None, Query(ge=0, lt=10**10)]
_Id = Annotated[str | None, Query(max_length=bounds.NAME)]


@dataclass(frozen=True)
class CursorRequest:
    """after, before: ids."""

    limit: int
    order: Literal["asc", "desc"]
    after: str | None
    before: str | None

    def query(self, after: str, before: str, **created: int | None) -> PageQuery:
        """after, before: the keys of the ids. created: as PageQuery has it."""
        return PageQuery(limit=self.limit, descending=self.order == "desc", after=after, before=before, **created)


@dataclass(frozen=True)
class RunPageRequest:
    query: PageQuery
    selected: RunFilter


async def _cursors(
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    order: Literal["asc", "desc"] = "desc",
    after: Annotated[_Id, Query(description="the `last_id` of the page before")] = None,
    before: Annotated[_Id, Query(description="the `first_id` of the page behind")] = None,
) -> CursorRequest:
    return CursorRequest(limit, order, after, before)


CursorPage = Annotated[CursorRequest, Depends(_cursors)]


async def _run_page(
    page: CursorPage,
    status: _Status | None = None,
    model: Annotated[_Id, Query(description="an agency with all its agents, or agency/Agent")] = None,
    conversation: _Id = None,
    created_after: _Seconds = None,
    created_before: _Seconds = None,
) -> RunPageRequest:
    after, before = run_key(page.after, "after"), run_key(page.before, "before")
    query = page.query(after, before, created_after=created_after, created_before=created_before)
    return RunPageRequest(query, RunFilter(status, model, conversation))


RunPage = Annotated[RunPageRequest, Depends(_run_page)]


def run_key(response_id: str | None, param: str) -> str:
    key = entry_key(response_id) if response_id else ""
    if key is None:
        raise not_in_list(response_id, param)
    return key


def cancelled_list(responses: Sequence[ResponseObject], has_more: bool) -> dict[str, Any]:
    data = [{"id": each["id"], "object": "response", "status": each["status"]} for each in responses]
    first, last = (data[0]["id"], data[-1]["id"]) if data else (None, None)
    return {"object": "list", "data": data, "first_id": first, "last_id": last, "has_more": has_more}
