from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from fastapi import Depends, Query

from agency_lambda.errors import InvalidRequest
from agency_lambda.protocol import bounds
from agency_lambda.protocol.request import Include
from agency_lambda.protocol.types import Item

_AROUND = 1_000  # bytes of a page around its items: two of their ids


@dataclass(frozen=True)
class PageRequest:
    limit: int
    order: Literal["asc", "desc"]
    after: str | None


async def _page_request(
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    order: Literal["asc", "desc"] = "desc",
    after: Annotated[str | None, Query(description="the id of the last item of the page before")] = None,
) -> PageRequest:
    return PageRequest(limit, order, after)


Page = Annotated[PageRequest, Depends(_page_request)]


async def _include(
    include: Annotated[Include | None, Query(description="accepted, and changes nothing")] = None,
    include_list: Annotated[Include | None, Query(alias="include[]", include_in_schema=False)] = None,
) -> None:
    # What there is of it was kept where `POST /v1/responses` has asked for it.
    return


TAKES_INCLUDE = Depends(_include)


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
            raise not_in_list(requested.after, "after")
        start = ids.index(requested.after) + 1
    data = list(_fitting(ordered[start : start + requested.limit]))
    return {
        "object": "list",
        "data": data,
        "first_id": data[0]["id"] if data else None,
        "last_id": data[-1]["id"] if data else None,
        "has_more": start + len(data) < len(ordered),
    }


def not_in_list(item_id: str | None, param: str) -> InvalidRequest:
    return InvalidRequest(f"There is no item {str(item_id)[:99]!r} in this list.", param=param)


def _fitting(items: Sequence[Item]) -> Iterator[Item]:
    left = bounds.ANSWER - _AROUND
    for number, item in enumerate(items):
        left -= bounds.size(item) + 1
        if left < 0 and number:
            return
        yield item
