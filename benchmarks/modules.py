"""How many modules a subject runs until its first answer, AWS's runtime client not among them."""

import json
import subprocess
from pathlib import Path
from typing import Any

from benchmarks.environment import Request, Subject, WrongAnswer, command, variables

_SCRIPT = Path(__file__).with_name("count_modules.py")


def ran(subject: Subject, request: Request) -> list[str]:
    """The source file of each.

    Raises:
        WrongAnswer: its answer is not what the request expects.
    """
    done = subprocess.run(
        command(str(_SCRIPT), subject.handler.removesuffix(".handler")),
        cwd=subject.root,
        env=variables(subject),
        input=json.dumps(request.event),
        capture_output=True,
        text=True,
        check=False,
    )
    told: dict[str, Any] = (
        json.loads(done.stdout.splitlines()[-1]) if not done.returncode else {"answer": done.stderr, "ran": []}
    )
    answer, files = told["answer"], told["ran"]
    if not files or answer["statusCode"] != request.status or request.contains not in answer["body"]:
        raise WrongAnswer(f"{subject.name} answered {answer}")
    return [str(file) for file in files]
