"""docs/api.md tells every bound, and no other number."""

import re
from pathlib import Path

from agency_lambda.protocol import bounds

PAGE = (Path(__file__).parents[3] / "docs" / "api.md").read_text()


def test_the_page_tells_every_bound() -> None:
    section = PAGE.split("## How much a request may ask for")[1].split("\n## ")[0]
    told = {int(number.replace(",", "")) for number in re.findall(r"\b\d[\d,]*\b", section.split("\n|---|---|\n")[1])}
    kept = {name: value for name, value in vars(bounds).items() if name.isupper() and isinstance(value, int)}
    assert set(kept.values()) - {bounds.ANSWER} <= told
    lambdas, items_at_once, format_ = 6_291_556, 20, 8
    assert told - {lambdas, items_at_once, format_} <= set(kept.values()) | {500}


def test_an_answer_leaves_room_for_its_headers() -> None:
    assert bounds.ANSWER < 6_291_556 - 200_000
    assert bounds.RESOURCE + bounds.WITHOUT_OUTPUT + 100_000 <= bounds.ANSWER
