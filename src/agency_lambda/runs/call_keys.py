"""The keys of model calls in a run's journal, the same in every attempt."""

import hashlib
import json
from collections import defaultdict
from collections.abc import Mapping
from itertools import count
from typing import Any

from pydantic_core import to_jsonable_python

from agency_lambda.framework.models import ModelRequest
from agency_lambda.protocol.journal_keys import Row
from agency_lambda.runs.journal_rows import digest


class ModelCallKeys:
    """A key is sha256 of agent, items and tools, the call around it, and the number among equal calls of the run."""

    def __init__(self) -> None:
        self._taken: defaultdict[str, set[int]] = defaultdict(set)  # place of a call -> numbers in use
        self._stored: Mapping[str, Any] = {}
        self._by_items: defaultdict[tuple[str, str], list[str]] = defaultdict(list)

    def restore(self, rows: Mapping[str, Any], *, ignores_tools: bool) -> None:
        """Know the stored answers, by key.

        ignores_tools: where no stored call has the same tools, take one with others: a new deployment may have changed
        them since.
        """
        self._stored = rows
        if ignores_tools:
            for key, body in rows.items():
                if Row.MODEL.has(key) and "items_digest" in body:
                    self._by_items[body["items_digest"], _parent(key)].append(key)

    def claim(self, agent: str, request: ModelRequest, parent_call: str) -> tuple[str, str]:
        """Return an unused key, and the digest of the items."""
        items = f"[{_dump(request.identity or agent)}, {_dump(request.items)}".encode(errors="replace")
        hashed = hashlib.sha256(items)
        items_digest = hashed.hexdigest()[:16]
        tools = [(tool.name, getattr(tool, "params_json_schema", None)) for tool in request.tools]
        hashed.update(f", {_dump(tools)}]".encode(errors="replace"))
        parent = f"/{digest(parent_call)[:16]}" if parent_call else ""
        key = self._next(f"{hashed.hexdigest()}{parent}")
        if key not in self._stored:
            key = next((each for each in self._by_items[items_digest, parent] if not self._is_taken(each)), key)
        place, number = _split(key)
        self._taken[place].add(number)
        return key, items_digest

    def release(self, key: str) -> None:
        """Free the key of a call without an answer."""
        place, number = _split(key)
        self._taken[place].discard(number)

    def _next(self, place: str) -> str:
        number = next(number for number in count(1) if number not in self._taken[place])
        return Row.MODEL.key(place, number)

    def _is_taken(self, key: str) -> bool:
        place, number = _split(key)
        return number in self._taken[place]


def _dump(value: Any) -> str:
    return json.dumps(value, sort_keys=True, default=to_jsonable_python)


def _split(key: str) -> tuple[str, int]:
    place, _, number = Row.MODEL.rest(key).rpartition("/")
    return place, int(number)


def _parent(key: str) -> str:
    _, slash, parent = _split(key)[0].partition("/")
    return slash + parent
