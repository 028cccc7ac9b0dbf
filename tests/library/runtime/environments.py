"""An execution environment as Lambda starts it: our wrapper around the command of AWS's own client, in a process."""

import json
import os
import subprocess
import sys
from hashlib import sha256
from pathlib import Path
from typing import Any, Self

from tests.library.runtime.runtime_api import RuntimeApi

ROOT = Path(__file__).parents[3]
KEY = "al_key"
_OURS = ("apps.py", "buffered.py")
COMMAND = [sys.executable, "/var/runtime/bootstrap.py"]


def task_root(folder: Path, **modules: str) -> Path:
    """A bundle: handler/, what is IN agents/, the apps of these tests, and modules with the given source."""
    root = folder / "task"
    root.mkdir()
    for path in (
        ROOT / "handler",
        *(ROOT / "src").iterdir(),
        *(ROOT / "tests" / "library" / "agents").iterdir(),
        *(Path(__file__).parent / name for name in _OURS),
    ):
        if path.name != "__pycache__":
            (root / path.name).symlink_to(path)
    for name, source in modules.items():
        (root / f"{name}.py").write_text(source)
    return root


def variables(folder: Path, address: str = "", **more: str) -> dict[str, str]:
    """What Lambda sets, and the function's own settings; nothing of this machine's."""
    return {
        "PATH": os.environ["PATH"],
        "LAMBDA_TASK_ROOT": str(folder / "task"),
        "LAMBDA_RUNTIME_DIR": "/var/runtime",
        "PYTHONPATH": "/var/runtime",
        "AWS_LAMBDA_RUNTIME_API": address,
        "_HANDLER": "handler.stream.handler",
        "AWS_EXECUTION_ENV": "AWS_Lambda_python3.13",
        "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
        "AWS_LAMBDA_FUNCTION_NAME": "api",
        "AWS_LAMBDA_FUNCTION_VERSION": "7",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "1024",
        "AWS_LAMBDA_LOG_GROUP_NAME": "/aws/lambda/api",
        "AWS_LAMBDA_LOG_STREAM_NAME": "2026/01/01/[7]abc",
        "AWS_LAMBDA_LOG_FORMAT": "JSON",
        "AWS_REGION": "eu-central-1",
        "API_KEYS": f"alice:{sha256(KEY.encode()).hexdigest()}",
        "STORE": f"sqlite:///{folder}/agency.db",
        "FILES": f"file://{folder}/files",
        "LETTERS_FOLDER": f"{folder}/letters",
        **more,
    }


class Environment:
    """One process, from its start to its end. handler: Lambda's `_HANDLER`."""

    def __init__(self, api: RuntimeApi, folder: Path, handler: str, **more: str) -> None:
        if not (folder / "task").exists():
            task_root(folder)
        self.api, self.log_path = api, folder / "log"
        with self.log_path.open("wb") as log:
            self.process = subprocess.Popen(
                ["sh", str(folder / "task" / "lambda_loop" / "runtime" / "stream.sh"), *COMMAND],
                cwd=folder / "task",
                env=variables(folder, api.address, _HANDLER=handler, **more),
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.api.ending = True  # what breaks off from now on is our doing
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(10)

    @property
    def log(self) -> str:
        """What it has written so far."""
        return self.log_path.read_text()

    @property
    def lines(self) -> list[dict[str, Any]]:
        """The lines that are JSON."""
        return [json.loads(line) for line in self.log.splitlines() if line.startswith("{")]
