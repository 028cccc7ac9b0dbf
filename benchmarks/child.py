"""A process that is measured: a fresh interpreter that does what it is asked, one thing after the other."""

# with Child("benchmarks.warm", "ours", STORE=...) as child:
#     child.ask("bench", 50)      # what the function that its `serve` made returns for these

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

ROOT = Path(__file__).parent.parent
PYTHON = [sys.executable, "-W", "ignore", "-m"]


def variables(**more: str) -> dict[str, str]:
    """The environment of a subject: the benchmark's agencies, nothing of this machine's settings, no tracing."""
    return {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": os.pathsep.join(str(ROOT / folder) for folder in ("benchmarks/task", ".", "src", "agents")),
        "OPENAI_AGENTS_DISABLE_TRACING": "1",  # the SDK's own thread would be measured with whoever leaves it on
        **more,
    }


class Child:
    """`python -m module arguments`, from its start to its end; it starts beside whatever comes next here."""

    def __init__(self, module: str, *arguments: str, **more: str) -> None:
        self._said = tempfile.TemporaryFile("w+")  # noqa: SIM115 - as long as the process
        self._process = subprocess.Popen(
            [*PYTHON, module, *arguments],
            env=variables(**more),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._said,
            text=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()  # it ends where it finds no more questions
        self._said.close()

    def ask(self, *question: Any) -> Any:
        """Return the child's answer.

        Raises:
            RuntimeError: it has ended instead; the message is what it said last.
        """
        assert self._process.stdin
        assert self._process.stdout
        try:
            print(json.dumps(question), file=self._process.stdin, flush=True)
            answer = self._process.stdout.readline()
        except BrokenPipeError:
            answer = ""
        if not answer:
            self._process.wait()  # its last words come last
            self._said.seek(0)
            raise RuntimeError(f"{self._process.args}: {self._said.read()[-3000:]}")
        return json.loads(answer)


def serve(make: Callable[[], Callable[..., Any]]) -> None:
    """Answer questions in the child until there are no more. make: what answers each.

    What is printed meanwhile goes nowhere.
    """
    answers = os.fdopen(os.dup(1), "w")
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 1)
    do = make()
    for question in sys.stdin:
        print(json.dumps(do(*json.loads(question))), file=answers, flush=True)
