"""Compile the bundle, so that no start compiles anything."""

# A source beside its bytecode is the same thing twice: for the packages in INSTEAD the bytecode is all that ships, as
# `x.pyc` in the place of `x.py`, without docstrings. Tracebacks keep their line numbers there, and have no text of the
# lines. Every other package, so also what you add, keeps its sources: what asks for its own at run time (a JIT, a
# parser generator) would not work without.

import ast
import marshal
import subprocess
import sys
from importlib.util import MAGIC_NUMBER
from pathlib import Path
from types import CodeType

# Of sources. What these do is done inside the bundle by tests/library/cdk/test_bundle_inside.py.
INSTEAD = (
    "agents/extensions agents/realtime agents/sandbox agents/voice anyio attr aws_lambda_powertools beartype boto3 "
    "botocore cachetools charset_normalizer click colorama cryptography datamodel_code_generator dateutil distro "
    "docstring_parser email_validator exceptiongroup fastapi fastmcp griffe griffecli h11 httpcore httpx idna jmespath "
    "jsonschema jwt key_value mcp openai opentelemetry packaging platformdirs pydantic pydantic_core pydantic_settings "
    "pygments python_multipart referencing requests rich s3transfer sse_starlette starlette typing_inspection "
    "uncalled_for urllib3 uvicorn watchfiles websockets"
)

_UNCHECKED = MAGIC_NUMBER + bytes((1, *bytes(11)))  # of a hash that nobody compares: dates and sources do not matter


def write(folder: Path) -> None:
    """Write the bytecode of every source; a template that does not compile stays as it is."""
    no_columns = ("-X", "no_debug_ranges")  # of lines that nobody sees
    _run(*no_columns, __file__, str(folder)).check_returncode()
    rest = ("-qq", "--invalidation-mode", "unchecked-hash", "-s", str(folder), "-p", "/var/task")
    _run("-m", "compileall", *rest, str(folder))


def _run(*program: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-S", "-P", *program],
        env={"PYTHONHASHSEED": "0"},  # one process, in one order: what it has interned before is in the bytes
        check=False,
    )


def _replace_sources(folder: Path) -> None:
    for source in sorted(path for name in INSTEAD.split() for path in (folder / name).rglob("*.py")):
        if code := _code(source.read_bytes(), f"/var/task/{source.relative_to(folder)}"):
            source.with_suffix(".pyc").write_bytes(_UNCHECKED + marshal.dumps(code))
            source.unlink()


def _code(source: bytes, name: str) -> CodeType | None:
    try:
        return compile(_without_docstrings(ast.parse(source)), name, "exec", dont_inherit=True)
    except SyntaxError:
        return None


def _without_docstrings(tree: ast.Module) -> ast.Module:
    """Remove the docstrings of modules and functions; of a class's, pydantic makes descriptions."""
    for node in ast.walk(tree):
        match node:
            case (
                ast.Module(body=[ast.Expr(ast.Constant(str())) as text, *rest])
                | ast.FunctionDef(body=[ast.Expr(ast.Constant(str())) as text, *rest])
                | ast.AsyncFunctionDef(body=[ast.Expr(ast.Constant(str())) as text, *rest])
            ):
                node.body = rest or [ast.copy_location(ast.Pass(), text)]
    return tree


if __name__ == "__main__":
    _replace_sources(Path(sys.argv[1]))
