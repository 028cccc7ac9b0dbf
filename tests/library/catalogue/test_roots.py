"""An agency's folder is a source root of its own."""

import importlib
import sys

import pytest

from agency_lambda import catalogue
from agency_lambda.catalogue.check import check
from agency_lambda.errors import AgencyMisconfigured
from tests.library.catalogue.agencies import AGENCY, STARTER
from tests.library.catalogue.conftest import Agents


def built(name: str) -> dict[str, list[str]]:
    agency = catalogue.build(catalogue.find(name)[1])
    return {agent.name: [tool.name for tool in agent.tools] for agent in agency.agents.values()}


def test_the_starter_template_is_built_as_it_is(agents: Agents) -> None:
    agents({"starter": "starter.agency:create_agency"}, **STARTER)
    check()
    assert built("starter") == {"ExampleAgent": ["ExampleTool"], "ExampleAgent2": []}
    agency = catalogue.build(catalogue.find("starter")[1])
    assert agency.agents["ExampleAgent"].instructions == "You greet."


@pytest.mark.parametrize("folder", ["agency-starter-template", "nested.deeper", "_private"])
def test_a_folder_may_have_any_name_and_lie_anywhere(agents: Agents, folder: str) -> None:
    path = folder.replace(".", "/")
    agents(
        {"starter": f"{folder}.agency:create_agency"},
        **{name.replace("starter", path, 1): text for name, text in STARTER.items()},
    )
    check()
    assert built("starter") == {"ExampleAgent": ["ExampleTool"], "ExampleAgent2": []}


def test_a_module_is_never_loaded_under_two_names(agents: Agents) -> None:
    code = """
        import part, part.deep.leaf, agency
        import desk.part, desk.part.deep.leaf, desk.agency
        from part.deep import leaf
        from desk.part.deep import leaf as same
        from part import LOADED

        assert part is desk.part and leaf is same is part.deep.leaf, (leaf, same)
        assert leaf.__name__ == leaf.__spec__.name == "desk.part.deep.leaf"
        assert agency is desk.agency
        assert LOADED == ["desk.part"], LOADED
    """
    agents(
        {"desk": "desk.agency:create_agency"},
        **{
            "desk/agency": f"{AGENCY}\ndef check():{code}",
            "desk/part/__init__": "LOADED = []\nLOADED.append(__name__)\nimport part.deep.leaf",
            "desk/part/deep/leaf": "import part\nfrom part import deep",
        },
    )
    catalogue.build(catalogue.find("desk")[1])
    importlib.import_module("desk.agency").check()  # type: ignore[attr-defined]  # and after it was built
    assert sys.modules["part"] is sys.modules["desk.part"]


def test_siblings_that_import_each_other_are_found(agents: Agents) -> None:
    agents(
        {"desk": "desk.agency:create_agency"},
        **{
            "desk/agency": f"import first\n{AGENCY}",
            "desk/first": "import second\nA = 1\ndef b(): return second.B",
            "desk/second": "import first\nB = 2\ndef a(): return first.A",
        },
    )
    check()
    first = importlib.import_module("first")
    assert (first.b(), first.second.a()) == (2, 1)


def test_installed_packages_and_the_standard_library_come_first(agents: Agents) -> None:
    agents(
        {"desk": "desk.agency:create_agency"},
        **{"desk/agency": f"import openai, types, httpx\n{AGENCY}", "desk/openai/x": "", "desk/types/x": ""},
    )
    check()  # a folder without __init__.py gives way, as everywhere in Python
    assert "site-packages" in str(importlib.import_module("openai").__file__)


@pytest.mark.parametrize(
    ("name", "of"),
    [
        ("types", "a module of the standard library"),
        ("sys", "a module of the standard library"),
        ("openai", r"an installed package \(openai\)"),
        ("agents", r"an installed package \(agents\)"),
        ("handler", "handler/ of this project"),
        ("other", "agents/other"),
        ("desk", "the folder that it lies in, agents/desk"),
        ("agencies", "agents/agencies.py"),
    ],
)
@pytest.mark.parametrize("form", ["{}.py", "{}/__init__.py"])
@pytest.mark.parametrize("imported", ["import {}", "from {} import mine"])
def test_a_name_that_is_taken_is_refused_by_name(agents: Agents, name: str, of: str, form: str, imported: str) -> None:
    agents(
        {"desk": "desk.agency:create_agency"},
        **{
            "desk/agency": f"{imported.format(name)}\n{AGENCY}",
            f"desk/{form.format(name)}": "mine = 1",
            "other/agency": AGENCY,
        },
    )
    with pytest.raises(
        AgencyMisconfigured, match=f"agency 'desk': agents/desk imports its own module '{name}', but .*{of}"
    ):
        check()


def test_what_is_not_imported_claims_nothing(agents: Agents) -> None:
    agents(
        {"one": "one.agency:create_agency", "two": "two.agency:create_agency"},
        **{"one/agency": AGENCY, "one/shared": "", "one/types": "", "one/main": "import shared, types"},
        **{"two/agency": f"from . import shared\n{AGENCY}", "two/shared": "", "two/main": "import shared"},
    )
    check()


@pytest.mark.parametrize(
    "two",
    ["import shared", "from shared import two", "def later():\n    import shared", "from shared.deep import x"],
)
def test_two_folders_that_claim_one_name_are_refused_with_both(agents: Agents, two: str) -> None:
    agents(
        {"one": "one.agency:create_agency", "two": "two.agency:create_agency"},
        **{"one/agency": f"import shared\n{AGENCY}", "one/shared": ""},
        **{"two/agency": f"{two}\n{AGENCY}", "two/shared/__init__": "two = 2", "two/shared/deep": "x = 1"},
    )
    with pytest.raises(AgencyMisconfigured) as caught:
        check()
    said = "agency 'two': agents/one and agents/two both have a module 'shared', and import it: rename one"
    assert str(caught.value) == said


def test_entries_may_share_a_folder(agents: Agents) -> None:
    other = "import shared\nfrom agency import create_agency"
    agents(
        {"one": "desk.agency:create_agency", "two": "desk.second:create_agency"},
        **{"desk/agency": f"import shared\n{AGENCY}", "desk/second": other, "desk/shared": ""},
    )
    check()


def test_a_name_that_two_folders_have_and_a_run_asks_for_is_not_guessed(agents: Agents) -> None:
    agents(
        {"one": "one.agency:create_agency", "two": "two.agency:create_agency"},
        **{"one/agency": AGENCY, "one/shared": "", "two/agency": AGENCY, "two/shared": ""},
    )
    check()
    with pytest.raises(ImportError, match="one and two both have a module 'shared'"):
        importlib.import_module("shared")
