"""A run on its axis of time: what is drawn, what is said of it, and what can be done with it."""

import json
import re
import time
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.library.page.conftest import Opens
from tests.library.page.provider import Model
from tests.library.page.studio import KEYS, Studio

_BEGAN = 1_795_780_000.0
_DAY = 86_400
_USAGE = {"model_calls": 2, "input_tokens": 900, "output_tokens": 100, "total_tokens": 1000}


def _node(kind: str, name: str, agent: str, span: tuple[float, float] | None, **more: Any) -> dict[str, Any]:
    times = [_BEGAN + each for each in span] if span else [None, None]
    node = {"type": kind, "name": name, "agent": agent, "model": None, "started_at": times[0], "ended_at": times[1]}
    spent = {"attempt": 1, "replayed": False, "input_tokens": 90, "output_tokens": 10, "usd": 0.001}
    return {**node, **spent, "status": "completed", "children": [], **more}


def _call(agent: str, start: float, end: float, **more: Any) -> dict[str, Any]:
    return _node("model_call", "gpt-5-mini", agent, (start, end), **more)


def _agent(name: str, start: float, end: float, *children: dict[str, Any], **more: Any) -> dict[str, Any]:
    return _node("agent", name, name, (start, end), children=list(children), **more)


def _message(sender: str, child: dict[str, Any], start: float, end: float, **more: Any) -> dict[str, Any]:
    return _node("message", child["name"], sender, (start, end), children=[child], **more)


def _shows(page: Page, root: dict[str, Any], **fields: Any) -> None:
    """Open a run of this trace."""
    run = {"id": "resp_x", "object": "response", "model": "payments", "status": "completed", "created_at": int(_BEGAN)}
    run |= {
        "completed_at": int(_BEGAN) + 20,
        "ended_at": int(_BEGAN) + 20,
        "error": None,
        "output": [],
        "usage": _USAGE,
    } | fields.pop("run", {})
    trace = {"object": "trace", "response_id": "resp_x", "root": root, "attempts": 1, "waits_for": None, "usd": 0.002}
    trace |= {
        each: run[each] for each in ("model", "status", "created_at", "completed_at", "ended_at", "usage")
    } | fields
    page.route("**/v1/admin/responses/resp_x/trace", lambda route: route.fulfill(json=trace))
    page.route(re.compile("/v1/(admin/)?responses/resp_x$"), lambda route: route.fulfill(json=run))
    page.route("**/input_items", lambda route: route.fulfill(json={"data": []}))
    page.goto("/#/runs/resp_x")


def _begin(studio: Studio, text: str, *, owner: str = "alice", wait: bool = True) -> str:
    """Return the id of a run in the background; `wait`: of one that has ended, or waits for a person."""
    body = {"model": "studio", "input": text, "stream": True, "background": True}
    with studio.client(owner) as client, client.stream("POST", "/v1/responses", json=body) as answer:
        lines = (line.removeprefix("data: ") for line in answer.iter_lines() if line.startswith("data: {"))
        found: str = json.loads(next(lines))["response"]["id"]
        return found if not wait or list(lines) else ""


def test_run_of_two_colleagues_has_a_lane_for_each_and_says_what_was_asked(opens: Opens, studio: Studio) -> None:
    run = _begin(studio, "Finder: look eve & Writer: Checker: look dan; say All are well.")
    page = opens(studio)
    page.goto(f"/#/runs/{run}")
    lanes = page.locator(".tl-lane")
    expect(lanes).to_have_count(4)
    depths = {each.get_attribute("data-lane"): each.get_attribute("data-depth") for each in lanes.all()}
    assert depths == {"Lead": "0", "Finder": "1", "Writer": "1", "Checker": "2"}
    expect(page.locator(".tl-message")).to_have_count(3)
    expect(page.get_by_role("region", name="Input and output")).to_contain_text("All are well.")
    page.locator(".tl-bar[data-kind=tool_call]").first.press("Enter")
    expect(page.get_by_role("region", name="Details of the step")).to_contain_text("Arguments")


def test_run_grows_while_it_works(opens: Opens, studio: Studio, model: Model) -> None:
    page = opens(studio)
    with model.held("Finder"):
        run = _begin(studio, "Finder: look eve; say Done.", wait=False)
        page.goto(f"/#/runs/{run}")
        expect(page.locator(".status").first).to_contain_text("running")
        expect(page.locator("[data-agent=Lead][data-state=asks], [data-agent=Lead][data-state=works]")).to_have_count(1)
    expect(page.locator(".status").first).to_contain_text("completed")
    expect(page.locator(".tl-lane[data-lane=Finder]")).to_have_count(1)
    expect(page.get_by_role("region", name="Input and output")).to_contain_text("Done.")


def test_crash_and_a_day_of_waiting_are_seen(page: Page) -> None:
    asked = {"id": "mcpr_1", "kind": "tool", "status": "approved", "asked_at": _BEGAN + 6, "decided_at": _BEGAN + _DAY}
    pays = {"attempt": 3, "approvals": [{**asked, "decided_by": "eve", "as": "operator"}]}
    root = _agent(
        "Entry", 0, _DAY + 4,
        _call("Entry", 0, 2, replayed=True),
        _call("Entry", 4, 5, attempt=2),
        _node("tool_call", "look", "Entry", (5, 6), attempt=2, status="failed"),
        _node("tool_call", "pay", "Entry", (_DAY + 1, _DAY + 2), **pays),
    )  # fmt: skip
    _shows(page, root, attempts=3)
    expect(page.locator(".tl-bar[data-replayed=true] .tl-face[fill*=hatch]")).to_have_count(1)
    expect(page.locator(".tl-bar[data-failed=true]")).to_have_count(1)
    expect(page.locator("[data-mark=attempt]")).to_have_text(["interrupted, attempt 2", "attempt 3"])
    expect(page.locator("[data-wait=person]")).to_have_count(1)
    expect(page.locator(".tl-axis .tl-fold")).to_have_count(1)
    first = page.locator(".tl-bar").first.bounding_box()
    assert first is not None
    assert first["width"] > 100  # the day takes no place
    expect(page.get_by_role("region", name="Approvals")).to_contain_text("Approved by eve")


def test_run_that_a_killed_server_left_shows_both_attempts(opens: Opens, studio: Studio, model: Model) -> None:
    page = opens(studio, allowed="ERR_")
    with model.held("Finder"):
        run = _begin(studio, "look ann; Finder: look eve; say Done.", wait=False)
        page.goto(f"/#/runs/{run}")
        expect(page.locator(".tl-lane[data-lane=Finder]")).to_have_count(1)
        studio.kill()
    studio.start()
    expect(page.locator(".status").first).to_contain_text("completed", timeout=40_000)
    expect(page.locator("[data-mark=attempt]")).to_have_text(["interrupted, attempt 2"])
    expect(page.locator(".tl-bar[data-replayed=true]").first).to_be_visible()


def test_each_child_run_has_a_lane_and_waits_in_the_queue(page: Page) -> None:
    def child(number: int) -> dict[str, Any]:
        run = {"response_id": f"resp_{number}", "status": "completed", "queued_at": _BEGAN + 1, "ended_at": _BEGAN + 6}
        within = _agent("Colleague", 3, 6, _call("Colleague", 3, 6))
        return _message("Entry", within, 3, 6, run={**run, "attempts": 1, "waits_for": None, "error_code": None})

    _shows(page, _agent("Entry", 0, 8, _call("Entry", 0, 1), child(1), child(2), _call("Entry", 7, 8, attempt=2)))
    expect(page.locator(".tl-lane[data-lane=Colleague][data-depth='1']")).to_have_count(2)
    expect(page.locator("[data-wait=queue]")).to_have_count(2)


def test_handover_is_marked(opens: Opens, studio: Studio) -> None:
    run = _begin(studio, "Partner!; say Bye.")
    page = opens(studio)
    page.goto(f"/#/runs/{run}")
    expect(page.locator("[data-mark=handover]")).to_have_text("→ Partner")
    expect(page.locator(".tl-lane[data-lane=Partner][data-depth='0']")).to_have_count(1)


def test_arrow_keys_walk_along_and_across_the_lanes(page: Page) -> None:
    within = _agent("Colleague", 2, 5, _call("Colleague", 2, 3), _call("Colleague", 4, 5))
    _shows(page, _agent("Entry", 0, 8, _call("Entry", 0, 1), _message("Entry", within, 2, 5), _call("Entry", 6, 8)))
    page.locator("[data-bar='0.0']").focus()
    for key, bar in (("ArrowRight", "0.2"), ("ArrowDown", "0.1.0.1"), ("ArrowLeft", "0.1.0.0"), ("ArrowUp", "0.0")):
        page.keyboard.press(key)
        expect(page.locator(f"[data-bar='{bar}']")).to_be_focused()
    expect(page.locator(".tl-info")).to_contain_text("Model call gpt-5-mini · Entry")
    page.keyboard.press("Enter")
    page.get_by_role("region", name="Details of the step").get_by_role("button", name="Close").click()
    expect(page.locator("[data-bar='0.0']")).to_be_focused()


def test_part_of_the_axis_can_be_seen_larger(page: Page) -> None:
    _shows(page, _agent("Entry", 0, 8, _call("Entry", 0, 4), _call("Entry", 4, 4.1), _call("Entry", 4.1, 8)))
    small = page.locator("[data-bar='0.1'] .tl-face")
    before = float(small.get_attribute("width") or 0)
    page.get_by_role("button", name="Larger").click()
    page.get_by_role("button", name="Larger").click()
    assert float(small.get_attribute("width") or 0) > 3 * before
    page.get_by_role("button", name="Show all").click()
    assert float(small.get_attribute("width") or 0) == before


def test_two_thousand_calls_are_drawn_as_few(page: Page) -> None:
    calls = [_call("Entry", each / 100, each / 100 + 0.009) for each in range(2000)]
    _shows(page, _agent("Entry", 0, 20, *calls))
    expect(page.locator(".tl-bar").first).to_be_visible()
    assert 0 < page.locator(".tl-bar").count() < 300
    page.get_by_role("tab", name="List").click()
    expect(page.get_by_role("button", name="1,701 more steps")).to_be_visible()


def test_list_says_the_same_as_the_timeline(page: Page) -> None:
    within = _agent("Colleague", 2, 5, _call("Colleague", 2, 3, status="failed"))
    _shows(page, _agent("Entry", 0, 8, _message("Entry", within, 2, 5)))
    page.get_by_role("tab", name="List").click()
    rows = page.get_by_role("row")
    expect(rows).to_have_count(4)  # a message and who answers it are one
    expect(rows.nth(3)).to_contain_text(re.compile(r"Model call.*failed.*\+2 s.*1 s.*100"))


def test_run_that_was_stopped_takes_one_time_and_its_last_call_until_then(page: Page) -> None:
    root = _agent("Entry", 0, 2, _call("Entry", 0, 2), _call("Entry", 3, 3, ended_at=None, status="incomplete"))
    root["children"][1] |= {"input_tokens": 0, "output_tokens": 0, "usd": 0}
    ended = {"status": "cancelled", "completed_at": None, "ended_at": int(_BEGAN) + 17}
    _shows(page, root, run=ended)
    expect(page.locator(".run-head")).to_contain_text("Took17 s")
    page.locator("[data-bar='0.1']").focus()
    expect(page.locator(".tl-info")).to_contain_text("14 s · not finished")


def test_run_that_has_asked_waits_until_now(page: Page) -> None:
    now = time.time()
    asked = {"id": "mcpr_1", "kind": "tool", "status": "pending", "asked_at": now - 90, "decided_at": None}
    asks = {"approvals": [{**asked, "decided_by": None, "as": None}], "status": "incomplete"}
    call = _call("Entry", 0, 2) | {"started_at": now - 92, "ended_at": now - 90}
    root = _agent("Entry", 0, 2, call, _node("tool_call", "pay", "Entry", None, **asks))
    root |= {"started_at": now - 92, "ended_at": now - 90}
    _shows(page, root, run={"created_at": int(now) - 92, "completed_at": int(now) - 90, "ended_at": int(now) - 90})
    expect(page.locator(".status").first).to_have_text("waits for approval")
    expect(page.locator(".run-note")).to_contain_text(re.compile("pay 1 min 3"))
    expect(page.locator(".tl-axis .tl-fold")).to_have_count(1)  # as long as the wait
    expect(page.locator(".tl-legend")).to_contain_text("long pause")
    expect(page.locator(".tl-sum")).to_have_text("2 s · $0.001")


def test_tabs_have_the_focus_and_the_title_the_name(page: Page) -> None:
    _shows(page, _agent("Entry", 0, 2, _call("Entry", 0, 2)))
    page.get_by_role("tab", name="Timeline").press("ArrowRight")
    expect(page.get_by_role("tab", name="List")).to_be_focused()
    expect(page).to_have_title(re.compile("payments · Runs · agency-lambda$"))
    page.goto("/#/runs")
    expect(page).to_have_title(re.compile("^(.[0-9]+. )?Runs · agency-lambda$"))


def test_failed_run_says_why(page: Page) -> None:
    error = {"code": "server_error", "detail_code": "model_unavailable", "message": "<b>No</b> answer."}
    _shows(page, _agent("Entry", 0, 1, _call("Entry", 0, 1)), run={"status": "failed", "error": error})
    expect(page.get_by_text("model_unavailable")).to_be_visible()
    expect(page.get_by_text("<b>No</b> answer.")).to_be_visible()


def test_waiting_run_is_cancelled_when_that_is_confirmed(opens: Opens, studio: Studio) -> None:
    run = _begin(studio, "send ann")
    page = opens(studio)
    page.goto(f"/#/runs/{run}")
    expect(page.get_by_text("A person has to decide.")).to_be_visible()
    expect(page.locator("[data-wait=person]")).to_have_count(1)
    page.get_by_role("button", name="Cancel the run").click()
    page.get_by_role("button", name="Keep it running").click()
    page.get_by_role("button", name="Cancel the run").click()
    page.get_by_role("dialog").get_by_role("button", name="Cancel the run").click()
    expect(page.locator(".status").first).to_contain_text("cancelled")


def test_deleted_run_is_gone(opens: Opens, studio: Studio) -> None:
    run = _begin(studio, "say Bye.")
    page = opens(studio, allowed="404")
    page.goto(f"/#/runs/{run}")
    page.get_by_role("button", name="Delete").click()
    expect(page.get_by_role("dialog")).to_contain_text("Delete this run of studio for good?")
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(page).to_have_url(re.compile("#/runs$"))
    page.goto(f"/#/runs/{run}")
    expect(page.get_by_text("There is no such run.")).to_be_visible()


@pytest.mark.parametrize(("owner", "text"), [("olga", "alice"), ("bob", "There is no such run.")])
def test_only_operators_open_the_run_of_another_owner(opens: Opens, keyed: Studio, owner: str, text: str) -> None:
    run = _begin(keyed, "say Hello.")
    page = opens(keyed, allowed="40[34]")
    page.goto("/")
    page.get_by_label("Key", exact=True).fill(KEYS[owner])
    page.keyboard.press("Enter")
    expect(page.get_by_role("navigation", name="Sections")).to_be_visible()
    page.goto(f"/#/runs/{run}?owner=alice")
    expect(page.get_by_text(text, exact=owner == "olga")).to_be_visible()
