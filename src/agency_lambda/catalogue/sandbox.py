"""Refuse connections, and optionally writes, while agencies are checked."""

import errno
import os
import socket
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

_LOOPBACK = (None, "localhost", "127.0.0.1", "::1")
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_refused: frozenset[str] = frozenset()


@contextmanager
def sealed(*, read_only: bool) -> Iterator[None]:
    """read_only: refuse also files outside the temporary folder."""
    global _refused
    _install()
    tempfile.gettempdir()  # it looks for the folder by writing there, under a lock that `_write` would wait for
    _refused = frozenset({"socket.connect", "socket.getaddrinfo", *(("open", "os.mkdir") if read_only else ())})
    try:
        yield
    finally:
        _refused = frozenset()


@cache
def _install() -> None:
    sys.addaudithook(_audit)


def _audit(event: str, arguments: tuple[Any, ...]) -> None:
    if event in _refused:
        _RULES[event](*arguments)


def _connect(connecting: Any, address: Any) -> None:
    if connecting.family in (socket.AF_INET, socket.AF_INET6):
        _no_connection(address[0])


def _look_up(host: Any, *rest: Any) -> None:
    if host not in _LOOPBACK:
        _no_connection(host)


def _no_connection(host: Any) -> None:
    raise ConnectionRefusedError(f"the check at start opens no connection, and this one goes to {host}")


def _open(path: Any, mode: Any, flags: int) -> None:
    if flags & _WRITES:
        _write(path)


def _write(path: Any, *rest: Any) -> None:
    if not isinstance(path, str | os.PathLike) or "__pycache__" in str(path):
        return
    place = Path(path).absolute()
    if not any(place.is_relative_to(folder) for folder in (tempfile.gettempdir(), "/dev")):
        raise OSError(errno.EROFS, "on Lambda only /tmp can be written", str(path))


_RULES: dict[str, Callable[..., None]] = {
    "socket.connect": _connect,
    "socket.getaddrinfo": _look_up,
    "open": _open,
    "os.mkdir": _write,
}
