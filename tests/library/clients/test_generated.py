"""Clients that generators make of docs/openapi.json: they compile, and run a response, a stream and pages of a list."""

import json
import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.library.clients.server import MODEL, ROOT, Server
from tests.library.conftest import QUESTION

DOCUMENT = ROOT / "docs" / "openapi.json"
HERE = Path(__file__).parent
NODE = shutil.which("node")
TYPESCRIPT = {
    "compilerOptions": {
        **{"strict": True, "target": "es2023", "module": "nodenext", "lib": ["es2023", "dom"], "types": []},
        **{"noUncheckedIndexedAccess": True, "outDir": "made"},
    },
    "files": ["generated.ts", "api.d.ts"],
}


def run(*command: str, folder: Path, **variables: str) -> None:
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder), **variables}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=180)
    assert done.returncode == 0, done.stdout + done.stderr


def variables(server: Server) -> dict[str, str]:
    return {"URL": server.url, "API_KEY": server.key, "MODEL": MODEL, "QUESTION": QUESTION}


@pytest.mark.skipif(NODE is None, reason="Node is not installed")
@pytest.mark.skipif(
    not (ROOT / "node_modules" / "openapi-typescript").is_dir(), reason="no openapi-typescript (`make node_modules`)"
)
def test_openapi_typescript(server: Server, tmp_path: Path) -> None:
    modules = ROOT / "node_modules"
    run(str(NODE), str(modules / "openapi-typescript/bin/cli.js"), str(DOCUMENT), "-o", "api.d.ts", folder=tmp_path)
    shutil.copy(HERE / "node" / "generated.ts", tmp_path)
    (tmp_path / "package.json").write_text('{"type": "module"}')
    (tmp_path / "tsconfig.json").write_text(json.dumps(TYPESCRIPT))
    run(str(NODE), str(modules / "typescript/bin/tsc"), "-p", ".", folder=tmp_path)
    run(str(NODE), "made/generated.js", folder=tmp_path, **variables(server))


@pytest.mark.skipif(find_spec("openapi_python_client") is None, reason="openapi-python-client is not installed")
def test_openapi_python_client(server: Server, tmp_path: Path) -> None:
    paths = {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    options = ["--path", str(DOCUMENT), "--output-path", "made", "--meta", "none", "--fail-on-warning"]
    config = tmp_path / "config.yml"
    config.write_text("post_hooks: []\n")
    command = ["generate", *options, "--config", str(config)]
    run(sys.executable, "-m", "openapi_python_client", *command, folder=tmp_path, **paths)
    run(sys.executable, "-W", "error", "-m", "compileall", "-q", "made", folder=tmp_path)
    shutil.copy(HERE / "generated_python.py", tmp_path)
    run(sys.executable, "generated_python.py", folder=tmp_path, **variables(server), **paths)
