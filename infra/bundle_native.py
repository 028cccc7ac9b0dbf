"""Native modules without the symbol tables that only debuggers read, a fifth of some."""

import struct
from pathlib import Path


def drop_symbols(folder: Path) -> None:
    for path in folder.rglob("*.so*"):
        content = path.read_bytes()
        if content[:6] == b"\x7fELF\2\1":  # 64 bits, little-endian: both architectures
            path.write_bytes(_loaded(content))


def _loaded(elf: bytes) -> bytes:
    """The file up to the end of its last segment, which is all that is loaded; and a header that says so."""
    start, size, count = struct.unpack_from("<Q", elf, 32)[0], *struct.unpack_from("<HH", elf, 54)
    segments = (struct.unpack_from("<8xQ16xQ", elf, start + number * size) for number in range(count))
    end = max(offset + length for offset, length in segments)
    header = struct.pack("<Q", 0), struct.pack("<HH", 0, 0)  # where sections are described, and how many
    return elf[:40] + header[0] + elf[48:60] + header[1] + elf[64:end]
