"""What the check at start refuses, and how it says so."""

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from agency_lambda.catalogue import missing_variables
from agency_lambda.catalogue.check import Finding, check, survey
from agency_lambda.errors import AgencyMisconfigured
from tests.library.catalogue.agencies import AGENCY
from tests.library.catalogue.conftest import Agents

ROOT = Path(__file__).parents[3]
ONE = {"one": "one.agency:create_agency"}
WITH_TOOLS = AGENCY.replace('instructions="."', 'instructions=".", tools_folder="./tools"')
TOOL = """
from agency_swarm.tools import BaseTool

class {name}(BaseTool):
    "Does it."

    def run(self):
        raise AssertionError("the check runs no tool")
"""
SETTINGS = """
from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

class Settings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="SHOP_")
    token: str
    region: str = Field(alias="SHOP_AREA")
    there: int = 1

Settings()
"""


def refusal() -> str:
    with pytest.raises(AgencyMisconfigured) as caught:
        check()
    return str(caught.value)


@pytest.mark.parametrize(("flow", "is_known"), [("One>Two", True), ("One>two", False), ("Two>One", False)])
def test_a_flow_of_messages_that_the_agency_has_not_is_named(agents: Agents, flow: str, is_known: bool) -> None:
    made = """
        from agency_swarm import Agency, Agent

        def create_agency():
            one, two = Agent(name="One", instructions="."), Agent(name="Two", instructions=".")
            return Agency(one, communication_flows=[(one, two)])
    """
    agents({"one": {"create_agency": "one.agency:create_agency", "messages": {flow: "queue"}}}, **{"one/agency": made})
    if is_known:
        check()
    else:
        assert f"agency 'one': messages: the agency has no flow '{flow}'. Its flows: One>Two" in refusal()


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({}, "AGENCIES in agents/agencies.py: there is no 'one' in agents/ (for 'one.agency:create_agency')"),
        ({"one/other": ""}, "AGENCIES in agents/agencies.py: there is no agents/one/agency.py (for 'one.agency:create"),
        ({"one/agency": "def create_agency():\n    raise SystemExit(1)"}, "SystemExit: 1 (agents/one/agency.py:2)"),
        ({"one/agency": f"{AGENCY}\ncreate_agency().terminal_demo()"}, "RuntimeError: terminal_demo() serves until"),
        ({"one/agency": f"{AGENCY}\ncreate_agency().run_fastapi()"}, "(agents/one/agency.py:7)"),
        (
            {"one/agency": "x = 1\nimport nowhere"},
            "ModuleNotFoundError: No module named 'nowhere' (agents/one/agency.py:2)",
        ),
        ({"one/agency": "def f(:\n    pass"}, "(agents/one/agency.py:1)"),
        ({"one/agency": "x = 1\ndef f()\n    pass"}, "'one': SyntaxError: expected ':' (agents/one/agency.py:2)"),
        (
            {"one/agency": "from one.price import Nobody", "one/price": ""},
            "ImportError: cannot import name 'Nobody' from 'one.price' (agents/one/agency.py:1)",
        ),
        ({"one/agency": "import json\n\njson.loads('')"}, "JSONDecodeError: "),
        ({"one/agency": "import json\n\njson.loads('')"}, "(agents/one/agency.py:3)"),
        (
            {"one/agency": "def create_agency():\n    return 1 / 0"},
            "ZeroDivisionError: division by zero (agents/one/agency.py:2)",
        ),
        ({"one/agency": "\ndef create_agency(): return 7"}, "returned int, not an Agency. (agents/one/agency.py:2)"),
        ({"one/agency": AGENCY.replace('"."', '"./gone.md"')}, "The instructions file of One does not exist"),
        ({"one/agency": AGENCY, "one/offline": "import nowhere"}, "(agents/one/offline.py:1)"),
    ],
)
def test_what_cannot_be_built_is_refused_with_file_and_line(agents: Agents, files: dict[str, str], said: str) -> None:
    agents(ONE, **files)
    found = refusal()
    assert found.startswith("agency 'one': ")
    assert said in found


@pytest.mark.parametrize(
    ("tool", "said"),
    [
        ("import nowhere", "ModuleNotFoundError: No module named 'nowhere' (agents/one/tools/Price.py:1)"),
        ("x = 1\nraise OSError('no')", "OSError: no (agents/one/tools/Price.py:2)"),
        ("def f(:", "SyntaxError: "),
        (
            TOOL.format(name="Prices"),
            "the tool Prices is not found: name the class like its file (agents/one/tools/Price.py:4)",
        ),
    ],
)
@pytest.mark.parametrize("made", ["in the factory", "at the module's top"])
def test_a_lost_tool_is_refused_with_file_and_line(agents: Agents, tool: str, said: str, made: str) -> None:
    code = WITH_TOOLS
    if made != "in the factory":
        code = code.replace("def create", 'one = Agent(name="One", tools_folder="./tools")\ndef create')
        code = code.replace('Agency(Agent(name="One", instructions=".", tools_folder="./tools"))', "Agency(one)")
    agents(ONE, **{"one/agency": code, "one/tools/Price": tool, "one/tools/Other": TOOL.format(name="Other")})
    assert said in refusal()
    assert said in refusal()  # nor is it there without its tool when it is asked for again


def test_what_lies_beside_the_tools_is_no_lost_tool(agents: Agents) -> None:
    base = (
        TOOL.format(name="Base").replace("def run", "def help").replace("raise", "return 1\n    def run(self): raise")
    )
    derived = "from .base import Base\nclass Price(Base):\n    'Says it.'\n    def run(self): ..."
    agents(
        ONE,
        **{
            "one/agency": WITH_TOOLS,
            "one/tools/base": base,
            "one/tools/Price": derived,
            "one/tools/constants": "A = 1",
        },
        **{"one/tools/two": "from agents import function_tool\n@function_tool\ndef f(): ..." + TOOL.format(name="X")},
    )
    check()


@pytest.mark.parametrize(
    ("code", "names"),
    [
        ("import os\n\nTOKEN = os.environ['SHOP_TOKEN']", {"SHOP_TOKEN": "agents/one/agency.py:3"}),
        (
            "from os import environ as e\nA = e['A_1']\nB = e['B_2']",
            {"A_1": "agents/one/agency.py:2", "B_2": "agents/one/agency.py:3"},
        ),
        (
            "from settings import S",
            {"SHOP_TOKEN": "agents/one/settings.py:11", "SHOP_AREA": "agents/one/settings.py:11"},
        ),
        (
            "import os\ntry:\n    os.environ['X']\nexcept KeyError as e:\n    raise RuntimeError('no X') from e",
            {"X": "agents/one/agency.py:3"},
        ),
        ("import os\nPORT = int(os.environ['PORT_1'])", {"PORT_1": "agents/one/agency.py:2"}),
    ],
)
def test_a_variable_that_is_missing_is_named(agents: Agents, code: str, names: dict[str, str]) -> None:
    agents(ONE, **{"one/agency": f"{code}\n{AGENCY}", "one/settings": f"{SETTINGS}\nS = 1"})
    first = next(iter(names))
    assert f"agency 'one' lacks the variable {first} ({names[first]})" in refusal()
    (found,) = survey(fill=True)
    assert (found.problem, found.variables) == (None, names)


def test_two_agencies_that_lack_one_variable_both_say_so(agents: Agents) -> None:
    needs = f"import os\nT = os.environ['SHOP_TOKEN']\n{AGENCY}"
    table = {name: f"{name}.agency:create_agency" for name in ("one", "two")}
    agents(table, **{"one/agency": needs, "two/agency": needs})
    assert [list(each.variables) for each in survey(fill=True)] == [["SHOP_TOKEN"], ["SHOP_TOKEN"]]
    assert "SHOP_TOKEN" not in os.environ


@pytest.mark.parametrize(
    ("more", "names", "doubt"),
    [
        ("int(os.environ['A_PORT'])\nos.environ['B_NAME']", ["A_PORT", "B_NAME"], None),
        ("assert os.environ['A_URL'].startswith('http')\nos.environ['B_NAME']", ["A_URL", "B_NAME"], None),
        ("int(os.environ['A'].split(',')[7])\nos.environ['B']", ["A"], "IndexError"),
        ("int(os.environ['A'])\nimport nowhere", ["A"], None),
    ],
)
def test_the_search_goes_on_behind_a_number_or_an_address(
    agents: Agents, more: str, names: list[str], doubt: str | None
) -> None:
    agents(ONE, **{"one/agency": f"import os\n{more}\n{AGENCY}"})
    (found,) = survey(fill=True)
    assert list(found.variables) == names
    assert ("nowhere" in str(found.problem)) == ("nowhere" in more)
    assert doubt is None or str(found.doubt).startswith(doubt)


def test_a_variable_of_several_names_is_set_by_any(agents: Agents, monkeypatch: pytest.MonkeyPatch) -> None:
    field = "Field(validation_alias=AliasChoices('SHOP_TOK', 'TOK'))"
    made = f"class S(BaseSettings):\n    t: str = {field}\nS()"
    code = f"from pydantic import AliasChoices, Field\nfrom pydantic_settings import BaseSettings\n{made}"
    agents(ONE, **{"one/agency": f"{code}\n{AGENCY}"})
    (found,) = survey(fill=True)
    assert list(found.variables) == ["SHOP_TOK|TOK"]
    monkeypatch.setenv("TOK", "t")
    assert survey()[0].variables == {}
    assert missing_variables.is_set("SHOP_TOK|TOK", os.environ)
    assert not missing_variables.is_set("SHOP_TOK|TOK_B", os.environ)


@pytest.mark.parametrize(
    ("string", "said"),
    [
        ("agents.one.agency:create_agency", 'leave out "agents." and write "one.agency:create_agency"'),
        ("openai.agency:create_agency", "agents/openai has a name that is taken (by "),
        ("email.agency:create_agency", "agents/email has a name that is taken (by the standard library"),
        ("handler.agency:create_agency", "agents/handler has a name that is taken (by "),
        ("onee.agency:create_agency", "there is no 'onee' in agents/"),
        ("one.agencyy:create_agency", "there is no agents/one/agencyy.py"),
        ("one.agency:create_agncy", "one.agency:create_agncy: there is no 'create_agncy' in one.agency"),
    ],
)
def test_a_wrong_import_string_says_what_is_there_and_hides_no_other(agents: Agents, string: str, said: str) -> None:
    names = ("one", "openai", "email", "handler")
    agents(
        {"wrong": string, "bad": "bad.agency:create_agency"},
        **{f"{name}/agency": AGENCY for name in names},
        **{"bad/agency": "import nowhere"},
    )
    first, second = refusal().splitlines()
    assert first.startswith("agency 'wrong': ")
    assert said in first
    assert second.startswith("agency 'bad': ")


def test_a_variable_of_a_tool_is_named_and_its_agency_described(agents: Agents) -> None:
    tool = f"import os\nTOKEN = os.environ['SHOP_TOKEN']\n{TOOL.format(name='Price')}"
    agents(ONE, **{"one/agency": WITH_TOOLS, "one/tools/Price": tool})
    assert refusal() == "agency 'one' lacks the variable SHOP_TOKEN (agents/one/tools/Price.py:2)"
    (found,) = survey(fill=True)
    assert found.variables == {"SHOP_TOKEN": "agents/one/tools/Price.py:2"}
    assert found.description
    assert [agent["tools"] for agent in found.description["agents"]] == [["Price"]]


def test_what_is_built_with_placeholders_leaves_no_module(agents: Agents) -> None:
    """Else the next agency, or the next run, has a placeholder for a secret."""
    table = {name: f"{name}.agency:create_agency" for name in ("free", "one", "two")}
    needs = f"from free import price, free_price\nimport own\n{AGENCY}"
    agents(table, **{"one/agency": needs, "two/agency": needs, "free/agency": AGENCY, "free/free_price": ""})
    agents(table, **{"free/__init__": "", "one/own": "", "two/own": "", "free/price": "import os\nos.environ['TOKEN']"})
    for filled in (survey(fill=True), survey(fill=True)):
        assert [list(each.variables) for each in filled] == [[], ["TOKEN"], ["TOKEN"]]
    assert "free.agency" in sys.modules
    assert not {"free.price", "one.agency", "own", "two.agency"} & {*sys.modules}
    assert "price" not in vars(sys.modules["free"])


def test_a_variable_that_dotenv_names_says_so(agents: Agents) -> None:
    folder = agents(ONE, **{"one/agency": f"import os\nT = os.environ['SHOP_TOKEN']\n{AGENCY}"})
    (folder.parent / ".env").write_text("OTHER=1\n")
    assert refusal().endswith("lacks the variable SHOP_TOKEN (agents/one/agency.py:2)")
    (folder.parent / ".env").write_text("SHOP_TOKEN=t\n")
    hint = "it is in .env: call load_dotenv() before this line, or export it"
    assert refusal().endswith(f"lacks the variable SHOP_TOKEN (agents/one/agency.py:2): {hint}")


def test_an_error_in_agencies_py_itself_is_refused_with_its_line(agents: Agents) -> None:
    folder = agents({})
    (folder / "agencies.py").write_text("AGENCIES = {\n    'a': 'a:a'\n    'b': 'b:b',\n}\n")
    assert refusal().startswith("agents/agencies.py:3: SyntaxError: invalid syntax")


@pytest.mark.parametrize("code", ["{}['x']", "raise KeyError('PATH_X')", "import os\nos.environ.get('X')[0]"])
def test_another_error_is_no_missing_variable(agents: Agents, code: str) -> None:
    agents(ONE, **{"one/agency": f"{code}\n{AGENCY}"})
    assert "lacks" not in refusal()
    assert [finding.variables for finding in survey(fill=True)] == [{}]


def test_an_import_that_fails_behind_a_missing_variable_is_refused_too(agents: Agents) -> None:
    agents(ONE, **{"one/agency": f"import os\nos.environ['A']\nimport nowhere\n{AGENCY}"})
    (found,) = survey(fill=True)
    assert "No module named 'nowhere'" in str(found.problem)


def test_every_agency_that_cannot_run_is_named(agents: Agents) -> None:
    table = {name: f"{name}.agency:create_agency" for name in ("one", "two", "three")}
    agents(table, **{"one/agency": "import nowhere", "two/agency": AGENCY, "three/agency": "1 / 0"})
    assert [line.partition(":")[0] for line in refusal().splitlines()] == ["agency 'one'", "agency 'three'"]


@pytest.fixture
def listener() -> Iterator[tuple[int, list[object]]]:
    """A port that takes note of who connects."""
    seen: list[object] = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.1)
        done = threading.Event()

        def accept() -> None:
            while not done.is_set():
                try:
                    connection, _ = server.accept()
                except TimeoutError:
                    continue
                seen.append(connection.getpeername())
                connection.close()

        thread = threading.Thread(target=accept)
        thread.start()
        yield server.getsockname()[1], seen
        done.set()
        thread.join()


@pytest.mark.parametrize(
    "code",
    [
        "import socket; socket.create_connection(('127.0.0.1', {port}))",
        "import httpx; httpx.get('http://127.0.0.1:{port}')",
        "import urllib.request as u; u.urlopen('http://127.0.0.1:{port}')",
        "import http.client as h; h.HTTPConnection('127.0.0.1', {port}).request('GET', '/')",
        "import openai; openai.OpenAI(base_url='http://127.0.0.1:{port}', api_key='k', max_retries=0).models.list()",
    ],
)
def test_the_check_opens_no_connection(agents: Agents, listener: tuple[int, list[object]], code: str) -> None:
    port, seen = listener
    agents(ONE, **{"one/agency": f"{code.format(port=port)}\n{AGENCY}"})
    assert "(agents/one/agency.py:1)" in refusal()
    agents(ONE, **{"one/agency": f"try:\n    {code.format(port=port)}\nexcept Exception: pass\n{AGENCY}"})
    check()
    assert seen == []
    socket.create_connection(("127.0.0.1", port)).close()  # afterwards everybody may


@pytest.mark.parametrize(
    "code",
    [
        "open('{place}/a.txt', 'w').close()",
        "import os; os.makedirs('{place}/a/b')",
        "import sqlite3, pathlib; pathlib.Path('{place}/a').touch()",
    ],
)
def test_for_a_bundle_nothing_is_written_but_temporary_files(
    agents: Agents, tmp_path: Path, code: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    agents(ONE, **{"one/agency": f"{code.format(place=tmp_path)}\n{AGENCY}"})
    (found,) = survey(fill=True)
    assert "Read-only" in str(found.problem) or "only /tmp can be written" in str(found.problem)
    assert str(found.problem).endswith("(agents/one/agency.py:1)")
    agents(
        {"two": "two.agency:create_agency"}, **{"two/agency": f"{code.format(place=tmp_path / 'temporary')}\n{AGENCY}"}
    )
    sys.modules.pop("agencies")
    (found,) = survey(fill=True)
    assert found.problem is None


def test_openai_clients_can_be_made(agents: Agents, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    made = "from openai import AsyncOpenAI, OpenAI\nfirst, second = OpenAI(), AsyncOpenAI()"
    agents(ONE, **{"one/agency": f"import os\n{made}\nkey = os.environ['OPENAI_API_KEY']\n{AGENCY}"})
    check()


@pytest.mark.parametrize("deferred", ["0", "1"])
def test_deferral_hides_nothing(agents: Agents, deferred: str) -> None:
    folder = agents(
        {name: f"{name}.agency:create_agency" for name in ("good", "gone", "lost", "lacks", "bad")},
        **{"good/agency": AGENCY, "gone/agency": f"from agency_swarm import Nobody\n{AGENCY}"},
        **{"lost/agency": WITH_TOOLS, "lost/tools/Price": "from openai import Nothing"},
        **{"lacks/agency": f"import os\nos.environ['SHOP_TOKEN']\n{AGENCY}"},
        **{"bad/agency": f"from agents.models.interface import Nothing\n{AGENCY}"},
    )
    program = (
        "from agency_lambda.catalogue.check import survey\nfor each in survey(): print(each.problem or each.lacks)"
    )
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program],
        cwd=folder.parent,
        env={
            "PATH": os.environ["PATH"],
            "PYTHONPATH": f"{ROOT}:{ROOT}/src:{folder}:{ROOT}/agents",
            "DEFER_IMPORTS": deferred,
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    good, gone, lost, lacks, bad = done.stdout.splitlines()
    assert good == "[]"
    assert gone.startswith("agency 'gone': ImportError: cannot import name 'Nobody'")
    assert gone.endswith("(agents/gone/agency.py:1)")
    assert lost.startswith("agency 'lost': ImportError: cannot import name 'Nothing'")
    assert lost.endswith("(agents/lost/tools/Price.py:1)")
    assert "SHOP_TOKEN" in lacks
    assert "Nothing" in bad
    assert bad.endswith("(agents/bad/agency.py:1)")


def test_a_folder_may_be_a_link(agents: Agents, tmp_path: Path) -> None:
    folder = agents({"one": "one.agency:create_agency", "two": "two.agency:create_agency"}, **{"two/shared": ""})
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "agency.py").write_text(f"import shared\n{AGENCY}")
    (tmp_path / "elsewhere" / "shared.py").touch()
    (folder / "one").symlink_to(tmp_path / "elsewhere")
    agents({"one": "one.agency:create_agency"})
    check()
    agents(
        {"one": "one.agency:create_agency", "two": "two.agency:create_agency"},
        **{"two/agency": f"import shared\n{AGENCY}"},
    )
    sys.modules.pop("agencies")
    assert "agents/one and agents/two both have a module 'shared'" in refusal()


def test_what_is_found_has_sentences() -> None:
    assert Finding("one", variables={"A": "x.py:1"}).lacks == ["agency 'one' lacks the variable A (x.py:1)"]
