"""What the benchmark tells must be so: rounds are paired, a wrong answer ends it, nothing of this machine helps."""

import asyncio
import tomllib
from pathlib import Path
from xml.etree import ElementTree

import pytest

from benchmarks import budget, chart, environment, modules, report, subjects
from benchmarks.__main__ import between_marks
from benchmarks.environment import Request, Subject, WrongAnswer
from benchmarks.results import Ratio, Series, ratio
from tests.library.runtime_emulator import binary

HELLO = Request({}, 200, "hello")
ANSWER = 'def handler(event, context):\n    return {"statusCode": 200, "body": "hello"}\n'


def series(*values: float, subject: str = "agency-lambda", metric: str = "CPU") -> Series:
    return Series("Cold start", subject, metric, "s", values)


def subject(folder: Path, **sources: str) -> Subject:
    for name, source in sources.items():
        (folder / f"{name}.py").write_text(source)
    return Subject("a test", folder, "entry.handler")


@pytest.fixture(params=["emulator", "loopback"])
def place(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both ways to have a Runtime API."""
    if request.param == "loopback":
        monkeypatch.setattr(environment, "binary", lambda: None)
    elif binary() is None:
        pytest.skip("AWS ships its runtime emulator for Linux only")


def test_a_ratio_pairs_each_round_with_its_own() -> None:
    """The machine was four times slower in the second round: the medians alone would say 0.5 / 1.0 or 2.0 / 4.0."""
    made = ratio("Cold start", "ours / theirs", series(0.5, 2.0, 0.8), series(1.0, 4.0, 1.0), at_most=0.6)
    assert made.values == (0.5, 0.5, 0.8)
    assert made.median == 0.5
    assert made.met
    with pytest.raises(ValueError, match="zip"):
        ratio("Cold start", "ours / theirs", series(0.5, 2.0), series(1.0))


def test_a_goal_is_met_by_the_median() -> None:
    assert not Ratio("s", "n", (1.0, 2.0, 3.0), at_most=1.9).met
    assert Ratio("s", "n", (1.0, 1.8, 3.0), at_most=1.9).met
    assert Ratio("s", "n", (99.0,)).met


def test_the_tables_have_medians_spreads_and_missed_goals() -> None:
    ratios = [
        Ratio("Cold start", "CPU: ours / theirs", (0.3, 0.25, 0.4), at_most=0.2),
        Ratio("Warm", "no goal", (2.0,)),
    ]
    told = report.tables({"processor": "a chip", "cores": "2"}, ([series(0.512, 0.61, 0.4)], ratios))
    assert "processor a chip, cores 2." in told
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in told.splitlines()]
    assert ["", "CPU, s"] in rows
    assert ["agency-lambda", "0.512 (0.4 to 0.61)"] in rows
    assert ["CPU: ours / theirs", "0.3", "0.25 to 0.4", "at most 0.2", "**missed**"] in rows
    assert ["no goal", "2", "", "", ""] in rows
    assert report.missed(ratios) == ["missed: Cold start, CPU: ours / theirs is 0.3, not 0.2 or less"]


def test_a_subject_has_one_row_for_all_its_metrics() -> None:
    told = report.tables({}, ([series(1.0), series(70.0, metric="peak RSS"), series(2.0, subject="other")], []))
    assert [line for line in told.splitlines() if line.startswith("| agency-lambda")] == [
        "| agency-lambda | 1      | 70          |"
    ]
    assert sum("other" in line for line in told.splitlines()) == 1


@pytest.mark.parametrize(
    ("value", "text"), [(0.0123, "0.012"), (0.5, "0.5"), (12.345, "12.3"), (99.96, "100"), (1234.5, "1,234")]
)
def test_numbers_are_short_and_without_exponents(value: float, text: str) -> None:
    assert report.number(value) == text


def test_the_json_has_every_value() -> None:
    told = report.as_json({"cores": "2"}, ([series(1.0, 2.0, 4.0)], [Ratio("s", "n", (3.0, 1.0), 1.5)]))
    assert told["series"][0]["values"] == (1.0, 2.0, 4.0)
    assert (told["series"][0]["median"], told["series"][0]["min"], told["series"][0]["max"]) == (2.0, 1.0, 4.0)
    assert (told["ratios"][0]["at_most"], told["ratios"][0]["met"]) == (1.5, False)


def test_the_bars_are_as_long_as_the_numbers() -> None:
    values = {name: float(2**place) for place, name in enumerate(chart._SUBJECTS)}
    drawn = chart.draw([series(v, subject=n, metric=m) for n, v in values.items() for m in ("CPU", "peak RSS")])
    bars = [
        float(bar.get("width", 0)) for bar in ElementTree.fromstring(drawn).iter("{http://www.w3.org/2000/svg}rect")
    ]
    assert len(bars) == 2 * len(values)
    assert bars[5] == pytest.approx(2 * bars[4], abs=0.2)
    for name in values:
        assert name in drawn


def test_the_page_around_the_tables_stays() -> None:
    page = "before\n<!-- tables: make bench -->\nold\n<!-- end of tables -->\nafter\n"
    once = between_marks(page, "new\n")
    assert once == "before\n<!-- tables: make bench -->\nnew\n<!-- end of tables -->\nafter\n"
    assert between_marks(once, "new\n") == once
    assert between_marks((budget.FILE.parents[1] / "docs" / "performance.md").read_text(), "new\n")


def test_what_is_over_its_budget_is_told_by_name() -> None:
    allowed = {"modules": {"measured": 100, "at_most": 110}, "megabytes": {"measured": 50.0, "at_most": 60.0}}
    assert budget.exceeded(allowed, {"modules": 110, "megabytes": 60.0}) == []
    (told,) = budget.exceeded(allowed, {"modules": 111, "megabytes": 60.0})
    assert told.startswith("modules is 111, over the 110 of benchmarks/budget.toml (it was 100")
    with pytest.raises(ValueError, match="megabytes"):
        budget.exceeded(allowed, {"modules": 1})


def test_the_budget_has_headroom_but_not_much() -> None:
    for name, line in tomllib.loads(budget.FILE.read_text()).items():
        assert line["measured"] <= line["at_most"] <= 1.35 * line["measured"], name


@pytest.mark.usefixtures("place")
def test_costs_grow_with_the_work(tmp_path: Path) -> None:
    """From the start of the process, and on from answer to answer."""
    works = f"import time\nwhile time.process_time() < 0.3: pass\nheld = bytes(range(256)) * 200_000\n{ANSWER}"
    (tmp_path / "lazy").mkdir()
    (lazy,) = environment.costs(subject(tmp_path / "lazy", entry=ANSWER), HELLO)
    first, second = environment.costs(subject(tmp_path, entry=works), HELLO, HELLO)
    assert 0.2 < first.cpu - lazy.cpu < 0.4
    assert 40 < first.rss - lazy.rss < 60
    assert first.wall >= 0.3
    assert 0 <= second.cpu - first.cpu < 0.1


@pytest.mark.usefixtures("place")
@pytest.mark.parametrize(
    ("source", "told"),
    [
        ('def handler(event, context):\n    return {"statusCode": 500, "body": "hello"}\n', "'statusCode': 500"),
        ('def handler(event, context):\n    return {"statusCode": 200, "body": "sorry"}\n', "sorry"),
        ("def handler(event, context):\n    raise RuntimeError('broken')\n", "broken"),
        (f"import pytest\n{ANSWER}", "No module named 'pytest'"),  # the development environment's
        (f"import benchmarks\n{ANSWER}", "No module named 'benchmarks'"),
    ],
)
def test_a_wrong_answer_ends_the_benchmark(tmp_path: Path, source: str, told: str) -> None:
    with pytest.raises(WrongAnswer, match=r"a test answered") as failure:
        environment.costs(subject(tmp_path, entry=source), HELLO)
    assert told in str(failure.value)


def test_modules_count_when_they_run(tmp_path: Path) -> None:
    entry = f"import used\n{ANSWER}"
    lazy = f"{ANSWER.replace('    return', '    import used_later\n    return')}\ndef never():\n    import not_used\n"
    files = {"used": "", "used_later": "import used", "not_used": ""}
    ran = {Path(file).stem for file in modules.ran(subject(tmp_path, entry=entry + lazy, **files), HELLO)}
    assert {"entry", "used", "used_later"} <= ran
    assert "not_used" not in ran
    with pytest.raises(WrongAnswer):
        modules.ran(subject(tmp_path, entry="import missing"), HELLO)


@pytest.mark.parametrize("streamed", [False, True])
def test_the_five_calls_really_happen(monkeypatch: pytest.MonkeyPatch, streamed: bool) -> None:
    """In nine model calls, and every tool and colleague gives the answer that the next one builds on."""
    monkeypatch.syspath_prepend(str(budget.FILE.parent / "task"))
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    import bench_agency
    from instant_model import InstantModel

    asked: list[str] = []
    say = InstantModel._item
    monkeypatch.setattr(InstantModel, "_item", lambda self, given: asked.append(str(given)) or say(self, given))

    async def run() -> str:
        agency = bench_agency.create_agency()
        if not streamed:
            return str((await agency.get_response(subjects.MESSAGE["message"])).final_output)
        stream = agency.get_response_stream(subjects.MESSAGE["message"])
        async for _ in stream:
            pass
        assert stream.final_result
        return str(stream.final_result.final_output)

    assert asyncio.run(run()) == bench_agency.LETTER
    assert len(asked) == 9
    for told in (
        "Subtask 7: Answer Nordwind",
        "Subtask 7: the crew comes",
        "Subtask 7 is there",
        bench_agency.LETTER,
    ):
        assert any(told in each for each in asked)
