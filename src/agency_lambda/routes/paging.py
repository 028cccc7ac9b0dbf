"""The query parameters of lists, and the pages that they select."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from fastapi import Depends, Query

from agency_lambda.errors import InvalidRequest
from agency_lambda.protocol import bounds
from agency_lambda.protocol.request import Include
from agency_lambda.protocol.response_object import ResponseObject
from agency_lambda.protocol.types import Item
from agency_lambda.record.index_pages import PageQuery, list_of
from agency_lambda.record.run_list import RunFilter
from agency_lambda.runs.run_index import entry_key

_MARGIN = 1_000  # bytes of a page around its items: two of their ids

_Limit = Annotated[int, Query(ge=1, le=100)]
_Order = Literal["asc", "desc"]
_Status = Literal["queued", "in_progress", "completed", "incomplete", "failed", "cancelled"]
_Seconds = Annotated[int | None, Query(ge=0, lt=10**10)]
_Id = Annotated[str | None, Query(max_length=bounds.NAME)]


@dataclass(frozen=True)
class PageRequest:
    """A page of items that are read whole. after: the id of the last item of the page before."""

    limit: int
    order: _Order
    after: str | None


async def _page_request(
    limit: _Limit = 20,
    order: _Order = "desc",
    after: Annotated[str | None, Query(description="the id of the last item of the page before")] = None,
) -> PageRequest:
    return PageRequest(limit, order, after)


Page = Annotated[PageRequest, Depends(_page_request)]


@dataclass(frozen=True)
class CursorRequest:
    """A page of an index. after, before: ids of the page before, and of the page behind."""

    limit: int
    order: _Order
    after: str | None
    before: str | None

    def query(self, key_of: Callable[[str], str | None], **created: int | None) -> PageQuery:
        """Return the query of the index. key_of: see `key_or_refuse`. created: as PageQuery has it.

        Raises:
            InvalidRequest: there is no such id.
        """
        after, before = (key_or_refuse(key_of, getattr(self, param), param) for param in ("after", "before"))
        return PageQuery(limit=self.limit, descending=self.order == "desc", after=after, before=before, **created)


async def _cursors(
    limit: _Limit = 20,
    order: _Order = "desc",
    after: Annotated[_Id, Query(description="the `last_id` of the page before")] = None,
    before: Annotated[_Id, Query(description="the `first_id` of the page behind")] = None,
) -> CursorRequest:
    return CursorRequest(limit, order, after, before)


CursorPage = Annotated[CursorRequest, Depends(_cursors)]


@dataclass(frozen=True)
class RunPageRequest:
    query: PageQuery
    selected: RunFilter


async def _run_page(
    page: CursorPage,
    status: _Status | None = None,
    model: Annotated[_Id, Query(description="an agency with all its agents, or agency/Agent")] = None,
    conversation: _Id = None,
    created_after: _Seconds = None,
    created_before: _Seconds = None,
) -> RunPageRequest:
    query = page.query(entry_key, created_after=created_after, created_before=created_before)
    return RunPageRequest(query, RunFilter(status, model, conversation))


RunPage = Annotated[RunPageRequest, Depends(_run_page)]


async def _include(
    include: Annotated[Include | None, Query(description="accepted, and changes nothing")] = None,
    include_list: Annotated[Include | None, Query(alias="include[]", include_in_schema=False)] = None,
) -> None:
    # What there is of it was kept where `POST /v1/responses` has asked for it.
    return


TAKES_INCLUDE = Depends(_include)


def key_or_refuse(key_of: Callable[[str], str | None], entry_id: str | None, param: str) -> str:
    """Return the key of an entry of an index, "" for none. key_of: returns None for what is no id of an entry.

    Raises:
        InvalidRequest: `param` has no such id.
    """
    key = key_of(entry_id) if entry_id else ""
    if key is None:
        raise _not_in_list(entry_id, param)
    return key


def paginate(items: Sequence[Item], requested: PageRequest) -> dict[str, Any]:
    """Return a list with as many items as an answer holds.

    Raises:
        InvalidRequest: `after` is not in the list.
    """
    ordered = list(items) if requested.order == "asc" else list(reversed(items))
    start = 0
    if requested.after is not None:
        ids = [item["id"] for item in ordered]
        if requested.after not in ids:
            raise _not_in_list(requested.after, "after")
        start = ids.index(requested.after) + 1
    data = list(_fitting(ordered[start : start + requested.limit]))
    return list_of(data, has_more=start + len(data) < len(ordered))


def cancelled_list(responses: Sequence[ResponseObject], has_more: bool) -> dict[str, Any]:
    data = [{"id": each["id"], "object": "response", "status": each["status"]} for each in responses]
    return list_of(data, has_more=has_more)


def _not_in_list(item_id: str | None, param: str) -> InvalidRequest:
    return InvalidRequest(f"There is no item {str(item_id)[:99]!r} in this list.", param=param)


def _fitting(items: Sequence[Item]) -> Iterator[Item]:
    left = bounds.ANSWER - _MARGIN
    for number, item in enumerate(items):
        left -= bounds.size(item) + 1
        if left < 0 and number:
            return
        yield item
