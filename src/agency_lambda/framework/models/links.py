"""Links in what a model is sent: whether its provider fetches them, and which it could not fetch.

litellm downloads what some vendors want as bytes, in this process: only OpenAI's own clients are given links.
"""

import re
import time
from collections.abc import Collection, Iterable
from typing import Any, Literal

from agents import Model
from agents.models.openai_chatcompletions import OpenAIChatCompletionsModel
from agents.models.openai_responses import OpenAIResponsesModel
from openai import APIStatusError

from agency_lambda.errors import LinkNotReadable
from agency_lambda.framework.models.endpoint import is_openai
from agency_lambda.framework.models.failure_kinds import kind_of
from agency_lambda.protocol.links import link_of
from agency_lambda.protocol.types import Item

type LinkedContent = Literal["0", "1"] | None
"""The setting: no links, links for any server that OpenAI's clients ask, or for OpenAI alone."""

_REMEMBERED = 600.0  # seconds
_MOST = 10_000
_gone: dict[str, float] = {}  # a link that a provider could not fetch -> when, by the monotonic clock
_PLACE = {"input_image": "image", "input_file": "file"}


def taken(model: Model, setting: LinkedContent) -> frozenset[str]:
    """Return the types of parts that may be links where a model is asked."""
    if getattr(model, "is_offline", False) is True:
        return frozenset(_PLACE)
    asks_openai_s = isinstance(model, OpenAIResponsesModel | OpenAIChatCompletionsModel)
    if setting == "0" or not asks_openai_s or not (setting == "1" or is_openai(model)):
        return frozenset()
    return frozenset(_PLACE) if isinstance(model, OpenAIResponsesModel) else frozenset({"input_image"})


def readable(items: Iterable[Item], kinds: Collection[str], new: Collection[str]) -> tuple[list[Item], frozenset[str]]:
    """Return items with a sentence in place of links that the model cannot have, and the links that are left.

    new: links of this request, which are tried in any case.
    """
    sent, found = list[Item](), set[str]()
    for item in items:
        if item.get("linked"):
            for name in ("content", "output"):
                if isinstance(parts := item.get(name), list):
                    parts = [_part(part, kinds, new) for part in parts]
                    found |= {url for part in parts if (url := link_of(part))}
                    item = {**item, name: parts}
        sent.append(item)
    return sent, frozenset(found)


def _part(part: Any, kinds: Collection[str], new: Collection[str]) -> Any:
    if (url := link_of(part)) is None:
        return part
    place = _PLACE[part["type"]]
    if part["type"] not in kinds:
        return _text(f"[The {place} at {url} is left out: this model is sent no links.]")
    if url not in new and time.monotonic() - _gone.get(url, -_REMEMBERED) < _REMEMBERED:
        return _text(f"[The {place} at {url} could not be fetched any more.]")
    return part


def unreadable(error: APIStatusError, sent: Collection[str]) -> frozenset[str]:
    """Return the links of a request that its provider could not read: those that it names, or all."""
    if not sent or kind_of(error) is not LinkNotReadable:
        return frozenset()
    text = str(error)
    return frozenset(url for url in sent if re.search(re.escape(url) + r"(?![\w/%&=?#-])", text)) or frozenset(sent)


def remember(urls: Iterable[str]) -> None:
    if len(_gone) > _MOST:
        _gone.clear()
    _gone.update(dict.fromkeys(urls, time.monotonic()))


def _text(text: str) -> Item:
    return {"type": "input_text", "text": text}
