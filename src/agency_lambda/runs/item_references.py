"""Items of earlier answers to which a request refers by id."""

from collections.abc import Set
from typing import Any

from agency_lambda.errors import InvalidRequest, NotFound
from agency_lambda.protocol import bounds
from agency_lambda.protocol.ids import response_id_of
from agency_lambda.protocol.item_types import refuse_unknown
from agency_lambda.protocol.lazy_types import without_nulls
from agency_lambda.protocol.types import Item
from agency_lambda.runs.stored_responses import Responses


async def resolve_references(responses: Responses, items: str | list[Any]) -> str | list[Any]:
    """Return the input with the items in place of references to them. Raises NotFound, InvalidRequest."""
    if isinstance(items, str) or not any(map(_is_reference, items)):
        return items
    if len(items) > bounds.ITEMS:
        raise bounds.over_limit("input", "items", bounds.ITEMS)
    names = {_name(item, number) for number, item in enumerate(items) if _is_reference(item)}
    _check_holders(names)
    found, read, left, resolved = dict[str, Any](), set[str](), bounds.BODY, list[Any]()
    for number, item in enumerate(items):
        if _is_reference(item):
            name = _name(item, number)
            refuse_unknown(item, {"type", "id"}, f"input[{number}]")
            if (holder := response_id_of(name)) not in read:  # one at a time: those behind the bound are never read
                read.add(holder)
                found |= await _held(responses, holder, names)
            if name not in found:
                raise NotFound(f"Item with id {name[:99]!r} not found.", param=f"input[{number}].id")
            item, taken = found[name]
            left -= taken
            if left < 0:
                message = f"The items that 'input' refers to have more than {bounds.BODY:,} bytes together."
                raise InvalidRequest(message, param=f"input[{number}]")
        resolved.append(item)
    return resolved


def _is_reference(item: Any) -> bool:
    return isinstance(item, dict) and (
        item.get("type") == "item_reference" or ("id" in item and without_nulls(item).keys() == {"id"})
    )


def _name(item: Item, number: int) -> str:
    name = item.get("id")
    if not isinstance(name, str):
        raise InvalidRequest("A reference has the id of an item.", param=f"input[{number}].id")
    return name


def _check_holders(names: Set[str]) -> None:
    if len({response_id_of(name) for name in names}) > bounds.REFERENCES:
        raise bounds.over_limit("input", "responses that its item references point into", bounds.REFERENCES)


async def _held(responses: Responses, holder: str, names: Set[str]) -> dict[str, tuple[Item, int]]:
    return {item["id"]: (item, bounds.size(item)) for item in await responses.output(holder) if item["id"] in names}
