"""Native modules lose what only debuggers read, and work (test_bundle_inside.py uses them)."""

import platform
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from infra import bundle_native

pytestmark = pytest.mark.skipif(platform.system() != "Linux", reason="the bundle's native modules are Linux's")


def test_a_native_module_is_smaller_and_still_one(tmp_path: Path) -> None:
    spec = find_spec("rpds.rpds")
    assert spec is not None
    assert spec.origin is not None
    module = tmp_path / Path(spec.origin).name
    shutil.copy(spec.origin, module)
    bundle_native.drop_symbols(tmp_path)
    once = module.read_bytes()
    assert len(once) < 0.8 * Path(spec.origin).stat().st_size
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import rpds; print(rpds.__file__, rpds.List([1]))"
    done = subprocess.run([sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == f"{module} List([1])\n"
    bundle_native.drop_symbols(tmp_path)
    assert module.read_bytes() == once


@pytest.mark.parametrize("content", [b"", b"#!/bin/sh\n", b"\x7fELF\1\1" + bytes(60)])
def test_what_is_no_native_module_of_lambda_stays_as_it_is(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.so.1").write_bytes(content)
    bundle_native.drop_symbols(tmp_path)
    assert (tmp_path / "a.so.1").read_bytes() == content
