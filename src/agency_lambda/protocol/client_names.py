"""Translates the names of parameters in errors of /v1/responses into those of the client's protocol."""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from agency_lambda.errors import ServiceError

_ITEM = re.compile(r"input\[(\d+)\]")
_FIELD = re.compile(r"[a-z_]+")

type Place = tuple[str, Mapping[str, str]]
"""Where an item of the input is in the client's request, such as `messages[1]`; the client's names of its fields."""


@dataclass(frozen=True)
class ClientNames:
    """parameters: regular expressions of ours -> the client's names, "" for what it has not sent.

    in_text: put the name into the message, for protocols whose errors have no `param`.
    """

    parameters: Mapping[str, str]
    places: Sequence[Place] = ()
    in_text: bool = True

    def name(self, param: str) -> str:
        """Return the client's name of a parameter such as `input[0].content[1].image_url`."""
        for ours, name in self.parameters.items():
            if found := re.match(rf"{ours}(?!\w)", param):
                return name and f"{found.expand(name)}{param[found.end() :]}"
        found = _ITEM.match(param)
        if found is None or int(found[1]) >= len(self.places):
            return param
        place, fields = self.places[int(found[1])]
        return place + _FIELD.sub(lambda field: fields.get(field[0], field[0]), param[found.end() :])

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Rename what an error says."""
        try:
            yield
        except ServiceError as error:
            if error.param is not None and (name := self.name(error.param)):
                self._rename(error, error.param, name)
            raise

    def _rename(self, error: ServiceError, param: str, name: str) -> None:
        text = re.sub(rf"(?<![\w.]){re.escape(param)}(?!\w)", lambda _: name, str(error))
        error.args = (text if name in text or not self.in_text else f"{name}: {text}",)
        error.param = name
