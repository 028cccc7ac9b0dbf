"""The official Node client, and the Vercel AI SDK that front ends use: one script in `node/` a concern."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.library.clients.server import MODEL, ROOT, Server
from tests.library.conftest import QUESTION

SCRIPTS = Path(__file__).parent / "node"
NODE = shutil.which("node")
PACKAGES = ("openai", "ai", "@ai-sdk/openai", "@ag-ui/client")
missing = [name for name in PACKAGES if not (ROOT / "node_modules" / name).is_dir()]
pytestmark = [
    pytest.mark.skipif(NODE is None, reason="Node is not installed"),
    pytest.mark.skipif(bool(missing), reason=f"not in node_modules: {', '.join(missing)} (`make node_modules`)"),
]


@pytest.mark.parametrize(
    "script",
    [
        "responses",
        "streams",
        "tools",
        "conversations",
        "files",
        "approvals",
        "webhooks",
        "errors",
        "ag_ui",
        "ai_sdk",
        "ai_sdk_chat",
        "ai_sdk_approvals",
        "chat",
        "ai_sdk_completions",
    ],
)
def test_from_node(server: Server, script: str) -> None:
    settings = {"BASE_URL": server.base_url, "API_KEY": server.key, "MODEL": MODEL, "QUESTION": QUESTION}
    done = subprocess.run(
        [str(NODE), str(SCRIPTS / f"{script}.mjs")],
        env={"PATH": os.environ["PATH"], **settings},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
