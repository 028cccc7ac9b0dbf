"""What running code does next, read from its bytecode."""

from collections.abc import Iterator
from itertools import batched
from opcode import opname
from types import FrameType


def is_guarded(frame: FrameType) -> bool:
    """Return whether a `try` or `with` would see an error that is raised now."""
    if not frame.f_code.co_exceptiontable:
        return False
    entries, offset = batched(_numbers(frame.f_code.co_exceptiontable), 4, strict=True), frame.f_lasti
    return any(start * 2 <= offset < (start + length) * 2 for start, length, _, _ in entries)


def _numbers(table: bytes) -> Iterator[int]:
    # Of co_exceptiontable, four an entry: six bits a byte, the highest first, and bit 6 says that more follow.
    value = 0
    for byte in table:
        value = value << 6 | byte & 0x3F
        if not byte & 0x40:
            yield value
            value = 0


def next_operation(frame: FrameType) -> str:
    code, at = frame.f_code.co_code, frame.f_lasti + 2
    while opname[code[at]] in ("CACHE", "EXTENDED_ARG"):
        at += 2
    return opname[code[at]]
