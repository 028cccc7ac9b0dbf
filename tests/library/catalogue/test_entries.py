"""What AGENCIES may hold."""

import sys
from typing import Any

import pytest

from agency_lambda import catalogue
from agency_lambda.errors import AgencyMisconfigured, UnknownName
from tests.library.catalogue.agencies import AGENCY
from tests.library.catalogue.conftest import Agents


def test_names_are_known_without_an_import(agents: Agents) -> None:
    agents({"one": "one.agency:create_agency", "two": "two.agency:create_agency"}, **{"one/agency": "raise OSError"})
    assert list(catalogue.factories()) == ["one", "two"]
    catalogue.check_model("one")
    catalogue.check_model("one/Agent")  # nobody knows yet whether it is there
    with pytest.raises(UnknownName, match="There is no agency 'three'"):
        catalogue.check_model("three")
    assert not {"one", "two"} & set(sys.modules)


def test_a_dict_has_limits_of_its_own(agents: Agents) -> None:
    limits = {"max_model_calls": 20, "max_output_tokens": 16, "model": "gpt-5-mini", "approvers": "operators"}
    agents({"one": {"create_agency": "one.agency:create_agency", **limits}}, **{"one/agency": AGENCY})
    entry = catalogue.entry("one")
    assert (entry.max_model_calls, entry.max_output_tokens, entry.model) == (20, 16, "gpt-5-mini")
    assert entry.approvers == "operators"
    assert catalogue.build(catalogue.find("one")[1]).agents.keys() == {"One"}


def test_transport_of_a_flow_is_found_by_the_agents_names(agents: Agents) -> None:
    flows = {" Team Lead > Data Clerk ": "queue", "A>B": "memory"}
    agents({"one": {"create_agency": "one.agency:create_agency", "messages": flows}}, **{"one/agency": AGENCY})
    entry = catalogue.entry("one")
    pairs = [("Team Lead", "Data Clerk"), ("A", "B"), ("Data Clerk", "Team Lead")]
    assert [entry.transport(*pair) for pair in pairs] == ["queue", "memory", None]


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({}, "names no agency"),
        (["one.agency:create_agency"], "names no agency"),
        ({"a/b": "one.agency:create_agency"}, "'a/b' cannot be a name"),
        ({"": "one.agency:create_agency"}, "'' cannot be a name"),
        ({1: "one.agency:create_agency"}, "1 cannot be a name"),
        ({"one": "one.agency"}, "'one': 'one.agency' is no import string: write \"folder.module:create_agency\""),
        ({"one": "one/agency.py:create_agency"}, "is no import string"),
        ({"one": ".agency:create_agency"}, "is no import string"),
        ({"one": 7}, "'one': 7 is no import string"),
        ({"one": None}, "'one': None is no import string"),
        ({"one": {}}, "'one': create_agency: Field required"),
        ({"one": {"create_agency": "a:b", "max_calls": 3}}, "max_calls: Extra inputs .* Known: create_agency, max_mo"),
        ({"one": {"create_agency": "a:b", "max_model_calls": 0}}, "max_model_calls: Input should be greater"),
        ({"one": {"create_agency": "a:b", "max_model_calls": "3"}}, "max_model_calls: Input should be a valid integer"),
        ({"one": {"create_agency": "a:b", "max_output_tokens": 1}}, "max_output_tokens"),
        (
            {"one": {"create_agency": "a:b", "approvers": "all"}},
            "approvers: Input should be 'both', 'owner', 'operators'",
        ),
        ({"one": {"create_agency": "a:b", "model": ""}}, "model: String should have at least 1"),
    ],
)
def test_what_is_wrong_is_named(agents: Agents, table: Any, said: str) -> None:
    agents(table)
    with pytest.raises(AgencyMisconfigured, match=f"AGENCIES in agents/agencies.py.*{said}"):
        catalogue.factories()


@pytest.mark.parametrize(
    ("messages", "sentence"),
    [
        ({"One": "queue"}, "'One' is no flow: write the names of two agents, \"Sender>Recipient\""),
        ({"A>B": "queue", "A>B>C": "queue"}, "'A>B>C' is no flow: write the names of two agents"),
        ({("A", "B"): "queue"}, "('A', 'B') is no flow: write the names"),
        ({"A>B": "queue", "B>C": "mail"}, "'B>C' has 'mail': write \"memory\" or \"queue\""),
        ({" A > B ": True}, "' A > B ' has True: write \"memory\""),
        ("queue", '\'queue\' is no table of flows: write {"Sender>Recipient": "queue"}, or set AGENT_MESSAGES for all'),
        ([("A>B", "queue")], "[('A>B', 'queue')] is no table of flows: write {"),
    ],
)
def test_wrong_messages_are_named_with_what_to_write(agents: Agents, messages: Any, sentence: str) -> None:
    agents({"one": {"create_agency": "one.agency:create_agency", "messages": messages}}, **{"one/agency": AGENCY})
    with pytest.raises(AgencyMisconfigured) as refused:
        catalogue.entry("one")
    assert str(refused.value).startswith(f"AGENCIES in agents/agencies.py: 'one': messages: {sentence}")


def test_a_function_is_taken_with_a_warning(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    def create() -> None: ...

    monkeypatch.setattr("agencies.AGENCIES", {"as-a-function": create})
    assert catalogue.factories() == {"as-a-function": create}
    assert "as-a-function' is a function, which the next release does not take" in caplog.text


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("def create_agency(load_threads_callback, save_threads_callback): return Agency(Agent(name='A'))", None),
        ("def create_agency(*given, **named): return Agency(Agent(name='A'))", None),
        ("class Made:\n    create_agency = staticmethod(lambda: Agency(Agent(name='A')))", None),
        ("def create_agency(database): ...", "needs 'database', which nobody gives"),
        ("async def create_agency(): ...", "is `async def`: write `def`"),
        ("create_agency = Agency(Agent(name='A'))", None),
        ("create_agency = 7", "is of type int: name a function that returns a new Agency"),
        ("def create(): ...", "there is no 'create_agency' in one.agency"),
    ],
)
def test_how_a_factory_may_look(agents: Agents, code: str, said: str | None) -> None:
    name = "Made.create_agency" if "class Made" in code else "create_agency"
    agents({"one": f"one.agency:{name}"}, **{"one/agency": f"from agency_swarm import Agency, Agent\n{code}"})
    _, create_agency = catalogue.find("one")
    if said is None:
        assert catalogue.build(create_agency).agents.keys() == {"A"}
        return
    with pytest.raises(AgencyMisconfigured, match=said):
        catalogue.build(create_agency)
