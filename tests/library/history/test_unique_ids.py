"""Ids are unique in a run, whichever of its runs has answered first."""

from typing import Any

from agency_lambda.history import UniqueIds


def called(*ids: str) -> list[dict[str, Any]]:
    return [{"call_id": each} for each in ids] + [{"call_id": ids[-1], "output": "x"}, {"role": "user"}]


def test_joined_ids_are_replaced_where_this_run_or_another_has_them() -> None:
    ids = UniqueIds(called("call_0"))
    joined = ids.join(called("call_0", "call_1", "call_2"), called("call_1"), "message")
    replaced = [item["call_id"] for item in joined[:2]]
    assert len({*replaced, "call_0", "call_1", "call_2"}) == 5
    assert joined[2:] == called("call_0", "call_1", "call_2")[2:]
    assert ids.join(called("call_0", "call_1", "call_2"), called("call_1"), "message") == joined
    assert ids.join(called("call_0"), [], "other")[0] not in joined


def test_what_was_joined_is_taken_for_later_claims_and_not_for_what_is_joined_later() -> None:
    ids = UniqueIds()
    ids.join(called("call_0"), [], "message")
    assert ids.join(called("call_0"), [], "other") == called("call_0")
    assert ids.claim("call_0", "place") != "call_0"
    assert ids.claim("call_1", "place") == "call_1"


def test_items_of_chat_completions_keep_the_mark_that_they_have_no_id() -> None:
    ids = UniqueIds(field="id")
    items = [{"id": "__fake_id__"}]
    ids.restore(items)
    assert ids.join(items, items, "message") == items
