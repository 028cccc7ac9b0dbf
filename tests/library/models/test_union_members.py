"""Items and events become what openai makes of them, whether valid or not."""

import time
from collections.abc import Iterator
from itertools import islice
from typing import Any, get_args

import pytest
from openai import _models
from openai.types.responses import ResponseInputItem, ResponseOutputItem, ResponseStreamEvent, ResponseTextDeltaEvent

from agency_lambda.framework import patches
from agency_lambda.framework.models.union_members import _adapter
from tests.library.models.body_samples import samples

patches.install()

_UNIONS = [ResponseStreamEvent, ResponseOutputItem]
_THEIRS = _models._validate_non_model_type.__wrapped__


def values(union: Any) -> Iterator[dict[str, Any]]:
    """Yield two of each member; the same without one field, and with a field of another type."""
    for member in get_args(get_args(union)[0]):
        for value in islice(samples(member), 2):
            yield value
            if "response" in value:  # it has every kind of item, and takes long
                value = value | {"response": {}}
            for name in value:
                yield {other: value[other] for other in value if other != name}
                yield value | {name: {"other": 1}}
                yield value | {name: "other"}


@pytest.mark.parametrize("union", _UNIONS)
def test_value_becomes_what_openai_makes_of_it(union: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    made = [_models.construct_type(value=value, type_=union) for value in values(union)]
    monkeypatch.setattr(_models, "_validate_non_model_type", _THEIRS)
    for ours, value in zip(made, values(union), strict=True):
        theirs = _models.construct_type(value=value, type_=union)
        assert type(ours) is type(theirs), value
        assert ours == theirs
    assert len(made) > 200


@pytest.mark.parametrize("value", [{}, {"type": None}, {"type": "unheard of"}, {"type": 1}, None, "text", ["list"]])
def test_value_without_a_known_type_is_left_to_openai(value: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    ours = _models.construct_type(value=value, type_=ResponseStreamEvent)
    monkeypatch.setattr(_models, "_validate_non_model_type", _THEIRS)
    theirs = _models.construct_type(value=value, type_=ResponseStreamEvent)
    assert (type(ours), repr(ours)) == (type(theirs), repr(theirs))


def test_union_whose_members_share_a_type_is_left_to_openai() -> None:
    message = {"type": "message", "role": "user", "content": "words"}
    items = [
        validate(type_=ResponseInputItem, value=message) for validate in (_models._validate_non_model_type, _THEIRS)
    ]
    assert type(items[0]) is type(items[1])
    assert _adapter(ResponseInputItem) is None


def test_event_is_not_validated_as_every_class() -> None:
    event = next(samples(ResponseTextDeltaEvent))
    ours, theirs = (
        min(_cpu(validate, event) for _ in range(5)) for validate in (_models._validate_non_model_type, _THEIRS)
    )
    assert 3 * ours < theirs  # 30 times when this was written


def _cpu(validate: Any, event: dict[str, Any]) -> float:
    (union, *_), began = get_args(ResponseStreamEvent), time.process_time()
    for _ in range(50):
        validate(type_=union, value=event)
    return time.process_time() - began
