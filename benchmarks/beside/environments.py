"""A virtual environment for each peer, under build/bench/. Made when missing or when its pins change."""

from pathlib import Path

from benchmarks import task_roots
from benchmarks.child import ROOT

_LOCK = ROOT / "requirements.txt"


def newest(name: str) -> Path:
    """Return the environment of benchmarks/peers/NAME/requirements.txt."""
    pins = ROOT / "benchmarks" / "peers" / name / "requirements.txt"
    return task_roots.made(f"peer-{name}", lambda folder: _install(folder, pins.read_text(), "--no-deps"), pins)


def ours() -> Path:
    """Return the environment of requirements.txt: what the service needs, and no tool of its development."""
    return task_roots.made("peer-agency_lambda", lambda folder: _install(folder, _LOCK.read_text(), "--no-deps"), _LOCK)


def on_our_pins(*packages: str) -> Path:
    """Return an environment of these packages and what they need, as requirements.txt pins them."""
    return task_roots.made(
        "peer-on-our-pins",
        lambda folder: _install(folder, "\n".join(packages), "--constraint", str(_LOCK)),
        _LOCK,
        Path(__file__),
    )


def _install(folder: Path, requirements: str, *options: str) -> None:
    task_roots.uv("venv", "-q", "--clear", "--python", task_roots.python(), str(folder))
    target = ["--python", str(folder / "bin" / "python")]
    task_roots.uv("pip", "install", "-q", "--compile-bytecode", *target, "-r", "-", *options, given=requirements)
