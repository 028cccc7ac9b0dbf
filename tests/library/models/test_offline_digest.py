"""A long conversation becomes a few honest lines."""

import asyncio

from agency_lambda.framework.offline_model import OfflineModel
from agency_lambda.offline import Turn, digest
from tests.library.models.test_events import request


def test_each_message_keeps_its_beginning():
    transcript = f"user: hello\nassistant: Dear all,\n\nfirst: thanks\nuser: {'a' * 119}bcd"
    assert digest(Turn(transcript)) == (
        "[offline model] Summary of 3 earlier messages:\n"
        f"user: hello\nassistant: Dear all, first: thanks\nuser: {'a' * 119}b..."
    )


def test_what_stands_before_the_first_message_is_none():
    assert digest(Turn("Summarise this.\n\nuser: hello")) == (
        "[offline model] Summary of 1 earlier messages:\nuser: hello"
    )
    assert digest(Turn("")) == "[offline model] Summary of 0 earlier messages:"


def test_many_messages_leave_out_the_first_and_say_so():
    transcript = "\n".join(f"{role}: {number} {'x' * 200}" for number in range(50) for role in ("user", "assistant"))
    head, gap, *lines = digest(Turn(transcript)).splitlines()
    assert head == "[offline model] Summary of 100 earlier messages:"
    assert gap == f"(the first {100 - len(lines)} are left out)"
    assert lines[-1].startswith("assistant: 49 x")
    assert len(lines) > 10
    assert 1700 < len(digest(Turn(transcript))) <= 2000


def test_it_is_a_script():
    asked = request(input="user: a\nassistant: b", tools=[])
    answer = asyncio.run(OfflineModel("digest", script=digest).get_response(**asked))
    assert answer.output[0].content[0].text == "[offline model] Summary of 2 earlier messages:\nuser: a\nassistant: b"
