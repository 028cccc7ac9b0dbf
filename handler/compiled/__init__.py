"""What Python's `dataclasses` writes, compiled when the bundle was made.

A dataclass is made by writing the source of its methods and compiling it. A cold start makes 250, which was a tenth of
its time. The bundle brings the code of those that the service imports, found by the text: it is what Python would
compile. A text that is not there is compiled as always, and so is every one outside of a bundle.
"""

import builtins
import dataclasses
import hashlib
import marshal
from collections.abc import Mapping
from functools import partial
from importlib.util import MAGIC_NUMBER
from pathlib import Path
from typing import Any

FILE = Path(__file__).with_name("known.bin")


def install(file: Path = FILE) -> bool:
    """Let `dataclasses` find what is in the file; False: there is none, or another Python has made it."""
    content = file.read_bytes() if file.exists() else b""
    if not content.startswith(MAGIC_NUMBER):
        return False
    known: Mapping[bytes, bytes] = marshal.loads(content[len(MAGIC_NUMBER) :])
    vars(dataclasses)["exec"] = partial(_exec, known)  # before the builtin, in that module alone
    return True


def digest(text: str) -> bytes:
    """Under which the code of a text is found."""
    return hashlib.sha256(text.encode()).digest()


def _exec(known: Mapping[bytes, bytes], text: str, names: dict[str, Any], made: dict[str, Any]) -> None:
    code = known.get(digest(text))
    builtins.exec(marshal.loads(code) if code else text, names, made)
