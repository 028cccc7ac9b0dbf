"""What agents share in `user_context` reaches messages on which other runs work, and comes back in their order."""

from typing import Any

from agency_lambda.framework.shared_values import SharedValues


def test_values_that_json_can_hold_are_sent_if_they_were_changed() -> None:
    values: dict[str, Any] = {"same": [1], "grown": [1], "client": object()}
    shared = SharedValues(values, {})
    values["grown"].append(2)
    values |= {"new": {"a": 1.5}, "tuple": (1,), "numbers": {1: 2}, "client": object(), "half": "\ud83d"}
    assert shared.changed(values) == {"grown": [1, 2], "new": {"a": 1.5}}


def test_later_messages_of_a_batch_win_whoever_ends_first() -> None:
    def child(**changes: str) -> Any:
        values = {"made": "m"}
        shared = SharedValues(values, {"sent": "s"})
        values |= changes
        return shared.answer(values)

    first, second = child(both="1", one="1"), child(both="2", sent="t")
    for order in ([0, 1], [1, 0]):
        values: dict[str, Any] = {"made": "m"}
        sender = SharedValues(values, {})
        for number in order:
            sender.join(values, "batch", number, [first, second][number])
        assert values == {"made": "m", "both": "2", "one": "1", "sent": "t"}
    sender.join(values, "next", 0, child())
    assert values["sent"] == "s"
