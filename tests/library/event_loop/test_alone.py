"""lambda_loop by itself: in a folder with what it requires, and nothing else of this repository or its packages."""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

import lambda_loop

REQUIRED = ("mangum", "nest_asyncio.py", "typing_extensions.py")
STARLETTE = ("starlette", "anyio", "idna", "sniffio")
MAIN = """
import asyncio
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route

async def answer():
    return "hello"

async def endpoint(request):
    return JSONResponse(asyncio.run(answer()))  # line 11

app = Starlette(routes=[Route("/hello", endpoint)])
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(Path(lambda_loop.__file__).parent, tmp_path / "lambda_loop", ignore=ignored)
    (tmp_path / "site-packages").mkdir()
    (tmp_path / "main.py").write_text(MAIN)
    return tmp_path


def example(folder: Path, packages: tuple[str, ...], *arguments: str) -> list[dict[str, object]]:
    """Return the report and the response that the example prints."""
    installed = Path(sysconfig.get_path("purelib"))
    for name in packages:
        if (installed / name).exists():
            (folder / "site-packages" / name).symlink_to(installed / name)
    path = os.pathsep.join((str(folder), str(folder / "site-packages")))
    command = [sys.executable, "-S", "-m", "lambda_loop.example", *arguments]
    done = subprocess.run(command, cwd=folder, env={"PYTHONPATH": path}, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_the_example_answers_with_its_requirements_only(folder: Path) -> None:
    report, response = example(folder, REQUIRED)
    assert (report["status"], response["statusCode"], response["body"]) == (200, 200, "hello from /")


def test_the_example_answers_with_an_app_of_ones_own(folder: Path) -> None:
    report, response = example(folder, REQUIRED + STARLETTE, "main:app", "/hello")
    assert (response["statusCode"], response["body"]) == (200, '"hello"')
    assert report["nested"] == [{"call": "asyncio.run()", "place": "main.py:11", "count": 1}]
