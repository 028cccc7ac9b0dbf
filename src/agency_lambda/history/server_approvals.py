"""Approvals of calls that the provider makes at an MCP server: request, response and call belong together."""

import json
from collections.abc import Callable, Sequence

from agency_lambda.history.items import CALL_AT_SERVER, REQUEST, RESPONSE, Item, as_text, is_made, with_metadata

_KINDS = frozenset({REQUEST, RESPONSE, CALL_AT_SERVER})


def consistent(
    items: Sequence[Item], forms: list[Item | None], is_native: Callable[[Item], bool] = lambda request: True
) -> list[Item | None]:
    """Return forms without what a provider refuses, or would act on a second time.

    is_native: whether the provider that is asked made the request; another one gets texts.
    """
    found: dict[str, dict[str, int]] = {kind: {} for kind in _KINDS}
    for number, form in enumerate(forms):
        if form and form["type"] in _KINDS:
            key = form["id"] if form["type"] == REQUEST else form["approval_request_id"]
            found[form["type"]].setdefault(key, number)
    if not any(found.values()):
        return forms
    forms = [*forms]
    keep = set[int]()
    for key, request in found[REQUEST].items():
        response, call = found[RESPONSE].get(key), found[CALL_AT_SERVER].get(key)
        if response is None:
            continue
        if is_native(items[request]) and not _is_lost(forms, response, call):
            keep |= {request, response} | ({call} if call is not None else set())
        elif call is None:
            forms[response] = _as_text(forms[request] or {}, forms[response] or {})
    for number, form in enumerate(forms):
        if form and form["type"] in _KINDS and number not in keep:
            forms[number] = with_metadata(as_text(form), form) if form["type"] == CALL_AT_SERVER else None
    return forms


def _is_lost(forms: list[Item | None], response: int, call: int | None) -> bool:
    # The provider would make the call of an approval that stands alone, also long after the model has gone on.
    approved = (forms[response] or {})["approve"]
    return bool(approved) and call is None and any(form and is_made(form) for form in forms[response:])


def _as_text(request: Item, response: Item) -> Item:
    fields = {name: request.get(name) for name in ("server_label", "name", "arguments")}
    decision = {name: response[name] for name in ("approve", "reason") if name in response}
    text = f"[mcp_approval: {json.dumps(fields | decision, ensure_ascii=False)}]"
    parts = [{"type": "output_text", "text": text, "annotations": []}]
    return with_metadata({"type": "message", "role": "assistant", "content": parts}, response)
