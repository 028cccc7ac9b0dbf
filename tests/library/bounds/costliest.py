"""Looks for the costliest body that is accepted: `python -m tests.library.bounds.costliest SECONDS [SEED]`.

Every body is as large as it may be in what it has at all. What is measured is the longest time for which nothing else
could run on the loop (of the CPU, so that other processes do not count), and the memory of the process.
"""

import asyncio
import json
import os
import random
import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from agency_lambda.protocol import bounds
from tests.library.bounds.bodies import ASK, MESSAGE, call, function, packed

UNITS = ["x", "word ", "[],", '"', "\\", "ж", "😀", "\n", '{"a": [', "<|", "1.", "data:"]
CITATION = {"type": "url_citation", "start_index": 0, "end_index": 1, "title": "t", "url": "u"}
FULL = bounds.BODY - 20_000  # bytes, with room for what is around


def filled(unit: str, size: int) -> str:
    """A text that takes so many bytes in the body."""
    return unit * (size // len(json.dumps(unit, ensure_ascii=False)[1:-1].encode()))


def turns(count: int, size: int, unit: str) -> list[Any]:
    """Messages that share so many bytes."""
    return [{"role": ("user", "assistant")[n % 2], "content": filled(unit, size // count)} for n in range(count)]


def calls(count: int, size: int, unit: str, values: int = 0) -> list[Any]:
    """Calls with their outputs. values: in the arguments of all of them."""
    made = []
    for number in range(count):
        arguments = '{"a": [' + "[]," * (values // count // 2) + "0]}"
        output = {"type": "function_call_output", "call_id": f"c{number}", "output": filled(unit, size // count)}
        made += [call(call_id=f"c{number}", arguments=arguments), output]
    return made


def strict(values: int) -> dict[str, Any]:
    """A strict schema that becomes so large."""
    leaf = {"type": "object", "properties": {f"p{n}": {"type": "string"} for n in range(20)}}
    uses = {f"q{n}": {"$ref": "#/$defs/leaf", "description": "x"} for n in range(values // 90)}
    return {"type": "object", "properties": uses, "$defs": {"leaf": leaf}}


def fields(draw: random.Random) -> dict[str, Any]:
    """What else a request may have."""
    schema = {"type": "json_schema", "name": "n", "schema": {"enum": list(range(15_000))}}
    choices: list[dict[str, Any]] = [
        {},
        {},
        {"tools": [function(n, parameters=strict(100), strict=True) for n in range(bounds.TOOLS)]},
        {"tools": [function(parameters=strict(9_000), strict=True)]},
        {"text": {"format": schema}},
        {"instructions": filled(draw.choice(UNITS), 400_000)},
        {"metadata": {f"k{n}": "x" * 512 for n in range(16)}},
    ]
    return {**draw.choice(choices), "store": draw.random() < 0.7, "stream": draw.random() < 0.3}


def spread(unit: str, size: int, role: str) -> list[Any]:
    """One message of many parts."""
    kind, more = ("output_text", {"annotations": []}) if role == "assistant" else ("input_text", {})
    part = {"type": kind, "text": filled(unit, max(size // 3_900 - 60, 10)), **more}
    return [{"role": role, "content": [part] * 3_900}]


def kinds(unit: str, size: int) -> list[Any]:
    """Inputs of so many bytes, each as large in something else."""
    cited = {"type": "output_text", "text": "x", "annotations": [CITATION] * 100}
    return [
        [{"role": "user", "content": filled(unit, size)}],
        turns(1_990, size - 150_000, unit),
        turns(50, size - 5_000, unit),
        spread(unit, size, "user"),
        spread(unit, size, "assistant"),
        calls(990, size - 250_000, unit),
        calls(990, size - 500_000, unit, 45_000),
        calls(2, size - 200_000, unit, 45_000),
        [{"role": "assistant", "content": [cited] * 75}],
        [packed([MESSAGE] * 1_900), {"role": "user", "content": filled(unit, size - 5_000)}],
        [packed([{"role": "user", "content": unit * (450_000 // len(unit.encode()))}])],
        [packed(turns(1_500, 400_000, unit))],
    ]


def bodies(seed: int) -> Iterator[dict[str, Any]]:
    """Bodies near the bounds: each kind once, then mixtures without an end."""
    for given in kinds("word ", FULL):
        yield {**ASK, "input": [*given, MESSAGE]}
    draw = random.Random(seed)
    while True:
        body = {**ASK, **fields(draw)}
        left = FULL - len(json.dumps(body, ensure_ascii=False).encode())
        given = draw.choice(kinds(draw.choice(UNITS), int(left * draw.choice([0.1, 0.5, 0.9]))))
        yield {**body, "input": [*given, MESSAGE]}


class Watch:
    """Measures the longest step of the loop in seconds of CPU."""

    def __init__(self) -> None:
        self.longest = 0.0
        run = asyncio.events.Handle._run

        def timed(handle: Any) -> Any:
            began = time.thread_time()
            try:
                return run(handle)
            finally:
                self.longest = max(self.longest, time.thread_time() - began)

        asyncio.events.Handle._run = timed  # type: ignore[method-assign]


def parsing() -> float:
    """Seconds of CPU to parse an accepted body of 1 MB, of many values."""
    said = [{"role": "user", "content": [{"type": "input_text", "text": f"{n:0430d}"}] * 2} for n in range(1_000)]
    schema = {"type": "object", "properties": {f"p{n}": {"type": "string"} for n in range(9_000)}}
    body = json.dumps({"model": "m", "input": said, "tools": [function(parameters=schema)]})
    took = []
    for _ in range(5):
        began = time.process_time()
        json.loads(body)
        took.append(time.process_time() - began)
    return min(took)


def main(seconds: float, seed: int) -> None:
    """One line of JSON for each body, as it is measured."""
    folder = Path(tempfile.mkdtemp())
    os.environ.update(STORE=f"sqlite:///{folder}/agency.db", LETTERS_FOLDER=f"{folder}/letters", AUTH="none")
    from agency_lambda.testing.events import Context, http_event
    from tests.library.conftest import Service

    service = Service("patch")
    service.post("/v1/responses", ASK)
    watch, parse, before = Watch(), parsing(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    until = time.process_time() + seconds
    for number, body in enumerate(bodies(seed)):
        if time.process_time() > until:
            break
        sent, watch.longest = json.dumps(body, ensure_ascii=False), 0.0
        answer = service.handler(http_event("POST", "/v1/responses", sent), Context(60))
        memory = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1000
        found = {"body": number, "bytes": len(sent.encode()), "status": answer["statusCode"], "megabytes": memory}
        found |= {"milliseconds": 1000 * watch.longest, "parsings": watch.longest / parse, "like": sent[:150]}
        print(json.dumps(found | {"said": answer["body"][:200] if answer["statusCode"] != 200 else ""}), flush=True)
    service.handler.close()


if __name__ == "__main__":
    main(float(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 1)
