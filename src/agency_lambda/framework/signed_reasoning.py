"""Encrypted reasoning as clients keep it: its owner can send it back, and only to the agent that made it.

The provider has encrypted it. Here it gets an HMAC of owner, agency, agent, origin and content.
"""

import hmac
from collections.abc import Iterator, Sequence
from typing import Any

from agency_lambda.protocol.items import SIGNED
from agency_lambda.protocol.types import Item

_DIGITS = 32  # of the signature, in hex


class ReasoningSigner:
    """key: a secret that all processes of the deployment have. agency: its name in AGENCIES."""

    def __init__(self, key: str, owner: str, agency: str) -> None:
        self._key, self._owner, self._agency = key.encode(), owner, agency

    def sign(self, item: Any, agent: str) -> str | None:
        """Return what a client is given of a model's reasoning; None if its provider gave nothing to send back."""
        content, origin = getattr(item, "encrypted_content", None), getattr(item, "origin", None)
        if not content or not origin:
            return None
        return f"{SIGNED}{origin}.{self._signature(agent, origin, content)}.{content}"

    def verified(self, items: Sequence[Item], agent: str) -> list[Item]:
        """Return the items with their reasoning as the agent's memory has it, without what was not signed for it."""
        return [each for item in items for each in (self._verified(item, agent) if _is_reasoning(item) else [item])]

    def _verified(self, item: Item, agent: str) -> Iterator[Item]:
        origin, _, rest = str(item["encrypted_content"]).removeprefix(SIGNED).partition(".")
        signature, _, content = rest.partition(".")
        if hmac.compare_digest(signature.encode(), self._signature(agent, origin, content).encode()):
            yield {**item, "encrypted_content": content, "origin": origin}

    def _signature(self, agent: str, origin: str, content: str) -> str:
        signed = "\0".join((self._owner, self._agency, agent, origin, content))
        return hmac.digest(self._key, signed.encode(), "sha256").hex()[:_DIGITS]


def _is_reasoning(item: Item) -> bool:
    return item.get("type") == "reasoning"
