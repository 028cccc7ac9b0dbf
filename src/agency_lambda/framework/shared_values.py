"""What agents share in `MasterContext.user_context`, where runs of their own work on their messages."""

import json
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from agency_lambda.protocol.surrogates import replace_surrogates

type Values = Mapping[str, Any]


class SharedValues:
    """Values that JSON can hold; others are in each run as its agency made them."""

    def __init__(self, values: dict[str, Any], sent: Values) -> None:
        """values: `user_context`, as the agency made it. sent: what a child run's sender had changed in it."""
        self._made = _as_json(values)
        values.update(sent)
        self._begun = _as_json(values) if sent else self._made
        self._answers: defaultdict[str, dict[int, Values]] = defaultdict(dict)  # by batch and number of a message

    def changed(self, values: Values) -> dict[str, Any]:
        """Return what differs from what the agency made."""
        return _changed(self._made, values)

    def answer(self, values: Values) -> dict[str, Values]:
        """Return what a child run gives back."""
        return {"sent": _changed(self._made, self._begun_values()), "changed": _changed(self._begun, values)}

    def join(self, values: dict[str, Any], batch: str, number: int, answer: Mapping[str, Values]) -> None:
        """Change `values` as the agents of a message did; later messages of a batch after earlier ones."""
        # A resumed run does not repeat finished tools: what they had changed was sent with the batch.
        answers = self._answers[batch]
        if not answers:
            values.update(answer["sent"])
        answers[number] = answer["changed"]
        for each in sorted(answers):
            values.update(answers[each])

    def _begun_values(self) -> dict[str, Any]:
        return {name: json.loads(text) for name, text in self._begun.items()}


def _changed(before: Mapping[str, str], values: Values) -> dict[str, Any]:
    return {name: json.loads(text) for name, text in _as_json(values).items() if before.get(name) != text}


def _as_json(values: Values) -> dict[str, str]:
    texts = {name: _text(value) for name, value in values.items() if isinstance(name, str)}
    return {name: text for name, text in texts.items() if text is not None}


def _text(value: Any) -> str | None:
    try:
        text = json.dumps(replace_surrogates(value), sort_keys=True)
        return text if json.loads(text) == value else None
    except (TypeError, ValueError, RecursionError):
        return None
