"""The agents of an agency as a graph, and how it lights up."""

from typing import Any

import pytest
from playwright.sync_api import Page, Route, expect

from tests.library.paths import ROOT

_SOURCES = ROOT / "src" / "page"
_SCRIPT = "document.querySelector('script[type=module]').src"


def _agency(*agents: str, flows: list[tuple[str, str]], tools: list[str] | None = None, **more: Any) -> dict[str, Any]:
    names = [{"name": name, "tools": tools or [], "conversation_starters": [], "quick_replies": []} for name in agents]
    arrows = [{"from": sender, "to": recipient} for sender, recipient in flows]
    return {"name": "desk", "entry_points": list(agents[:1]), "agents": names, "flows": arrows, **more}


TRIO = _agency("Boss", "Clerk", "Judge", flows=[("Boss", "Clerk"), ("Boss", "Judge")], tools=["look"])


def _act(number: int, agent: str, tool: str, status: str, **more: Any) -> dict[str, Any]:
    return {"type": "reasoning", "id": f"rs_{number}", "agent": agent, "tool": tool, "status": status, **more}


def _shows(page: Page, *agencies: dict[str, Any]) -> None:
    page.route("**/agencies", lambda route: route.fulfill(json={"agencies": agencies}))
    page.goto("/#/swarm")


def _serve_lights(page: Page) -> None:
    """The module and what it imports, as they are in src/page."""

    def answer(route: Route) -> None:
        path = route.request.url.partition("/sources/")[2]
        route.fulfill(path=_SOURCES / path, content_type="text/javascript")

    page.route("**/sources/**", answer)
    page.goto("/#/swarm")


def _lights(page: Page, items: list[dict[str, Any]], status: str = "in_progress") -> Any:
    """Return [state, doing] of each agent, and the open flows, as `ofAnswer` says."""
    _serve_lights(page)
    script = f"""async ([items, status, agency]) => {{
        const {{ ofAnswer }} = await import(new URL("sources/parts/swarm/lights.js", {_SCRIPT}));
        const {{ agents, flows }} = ofAnswer({{ items, status }}, agency);
        const states = Object.fromEntries([...agents].map(([name, light]) => [name, [light.state, light.doing]]));
        return {{ ...states, open: [...flows].filter(([, flow]) => flow.open).map(([key]) => key) }};
    }}"""
    return page.evaluate(script, [items, status, TRIO])


def test_graph_shows_agents_flows_and_tools_before_anything_is_clicked(page: Page) -> None:
    page.goto("/#/swarm")
    letters = page.get_by_role("region", name="letters")
    expect(letters.get_by_role("button", name="Secretary, entry point")).to_be_visible()
    expect(letters.get_by_role("button", name="Writer")).to_be_visible()
    expect(letters.locator("[data-agent=Registrar] [data-tool=create_task]")).to_be_visible()
    expect(letters.locator("[data-from=Writer][data-to=Registrar]")).to_have_count(1)
    expect(letters.get_by_role("list", name="Agents of letters, as text")).to_contain_text("Registrar")


def test_agent_is_opened_with_the_keyboard(page: Page) -> None:
    _shows(page, TRIO)
    page.get_by_role("button", name="Clerk").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("region", name="Clerk").get_by_role("button", name="Boss")).to_be_visible()
    page.get_by_role("button", name="Close").click()
    expect(page.get_by_role("region", name="Clerk")).to_have_count(0)
    expect(page.get_by_role("button", name="Clerk")).to_be_focused()


@pytest.mark.parametrize(
    "agency",
    [
        _agency("Solo", flows=[]),
        _agency("A", "B", "C", flows=[("A", "B"), ("B", "C"), ("C", "A"), ("B", "A"), ("C", "C")]),
        _agency("A", "B", "C", "D", flows=[("A", "B"), ("A", "C"), ("B", "D"), ("C", "D"), ("D", "C")], tools=["look"]),
        _agency("Boss", *(f"R{n}" for n in range(30)), flows=[("Boss", f"R{n}") for n in range(30)]),
        _agency("Boss", "Clerk", flows=[("Boss", "Clerk")], tools=[f"tool_{n}" for n in range(40)]),
        _agency("An agent with a name " * 9, "مساعد العملاء الذكي للمبيعات والدعم الفني", "<b>x</b>", flows=[]),
    ],
    ids=["one", "circle", "rhombus", "thirty", "forty tools", "names"],
)
def test_every_agency_fits_a_narrow_page(page: Page, agency: dict[str, Any]) -> None:
    page.set_viewport_size({"width": 360, "height": 740})
    _shows(page, agency)
    expect(page.locator("[data-agent]")).to_have_count(len(agency["agents"]))
    assert page.evaluate("document.querySelector('main').scrollWidth") <= 360
    assert page.locator(".swarm-box").evaluate("box => box.scrollWidth <= box.clientWidth")
    outside = """svg => { const whole = svg.getBoundingClientRect();
        return [...svg.querySelectorAll('.swarm-node, .swarm-flow, text')].map(each => each.getBoundingClientRect())
            .filter(box => box.left < whole.left || box.right > whole.right + 1 || box.top < whole.top).length }"""
    assert page.locator("svg.swarm-graph").evaluate(outside) == 0


def test_thirty_colleagues_stand_in_columns(page: Page) -> None:
    page.set_viewport_size({"width": 360, "height": 740})
    names = [f"R{number}" for number in range(30)]
    _shows(page, _agency("Boss", *names, flows=[("Boss", name) for name in names]))
    expect(page.locator("[data-agent]")).to_have_count(31)
    assert float(page.locator("svg.swarm-graph").get_attribute("width") or 999) < 360


def test_agency_that_does_not_work_says_so(page: Page) -> None:
    _shows(page, _agency(flows=[], error={"code": "agency_misconfigured"}))
    expect(page.get_by_text("cannot be loaded (agency_misconfigured)")).to_be_visible()


def test_addressed_agent_shines_before_anything_is_heard(page: Page) -> None:
    assert _lights(page, []) == {"Boss": ["works", None], "open": []}


def test_message_on_its_way_lights_sender_flow_and_recipient(page: Page) -> None:
    asks = _act(1, "Boss", "send_message", "in_progress", recipient="Clerk", parent=None)
    assert _lights(page, [asks]) == {"Boss": ["asks", "Clerk"], "Clerk": ["works", None], "open": ['["Boss","Clerk"]']}
    uses = _act(2, "Clerk", "look", "in_progress", parent="rs_1")
    assert _lights(page, [asks, uses])["Clerk"] == ["works", "look"]


def test_parallel_colleagues_shine_together(page: Page) -> None:
    asks = [
        _act(n, "Boss", "send_message", "in_progress", recipient=name, parent=None)
        for n, name in enumerate(("Clerk", "Judge"))
    ]
    lights = _lights(page, asks)
    assert [lights["Clerk"][0], lights["Judge"][0]] == ["works", "works"]
    assert lights["Boss"] == ["asks", "Clerk, Judge"]
    assert len(lights["open"]) == 2


def test_agent_whose_call_waits_for_a_person_is_marked(page: Page) -> None:
    asks = _act(1, "Boss", "send_message", "incomplete", recipient="Clerk", parent=None)
    request = {"type": "mcp_approval_request", "agent": "Clerk", "name": "look"}
    lights = _lights(page, [asks, request], "completed")
    assert [lights["Clerk"], lights["Boss"]] == [["person", "look"], ["asks", "Clerk"]]


def test_ended_run_has_no_light_on(page: Page) -> None:
    asks = _act(1, "Boss", "send_message", "completed", recipient="Clerk", parent=None)
    assert _lights(page, [asks], "completed") == {"Boss": ["done", None], "Clerk": ["done", None], "open": []}
    assert _lights(page, [], "failed")["Boss"] == ["failed", None]


def test_run_that_was_stopped_has_neither_succeeded_nor_failed(page: Page) -> None:
    asks = _act(1, "Boss", "send_message", "incomplete", recipient="Clerk", parent=None)
    lights = _lights(page, [asks], "cancelled")
    assert [lights["Boss"], lights["Clerk"]] == [["stopped", None], ["stopped", None]]


def test_message_of_a_trace_is_on_its_way_until_its_recipient_has_ended(page: Page) -> None:
    def message(name: str, ended_at: float | None) -> dict[str, Any]:
        status = "completed" if ended_at else "in_progress"
        child = {"type": "agent", "name": name, "agent": name, "status": status, "ended_at": ended_at, "children": []}
        return {"type": "message", "name": name, "agent": "Boss", "status": "in_progress", "children": [child]}

    _serve_lights(page)
    root = {"type": "agent", "name": "Boss", "agent": "Boss", "status": "in_progress"}
    trace = {"status": "in_progress", "root": {**root, "children": [message("Clerk", 1.0), message("Judge", None)]}}
    script = f"""async ([trace, agency]) => {{
        const {{ ofTrace }} = await import(new URL("sources/parts/swarm/lights.js", {_SCRIPT}));
        const {{ agents, flows }} = ofTrace(trace, agency);
        return [agents.get("Boss").doing, ...[...flows].filter(([, flow]) => flow.open).map(([key]) => key)];
    }}"""
    assert page.evaluate(script, [trace, TRIO]) == ["Judge", '["Boss","Judge"]']
