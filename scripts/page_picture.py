"""`python scripts/page_picture.py`: draw docs/page.png, the page in the middle of the example agency's run.

A real server on a free port, the offline model, and a Chromium that is installed (CHROMIUM=/path/to/one).
"""

import base64
import os
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Page, expect, sync_playwright

ROOT = Path(__file__).parents[1]
FILE = ROOT / "docs" / "page.png"
WIDTH, HEIGHT, PIXELS = 1320, 850, 2
_QUESTION = "Client Nordwind asks for an appointment next week. Prepare the reply."
# The 255 most frequent colours; every other pixel takes the nearest of them.
_PALETTE = """async (source) => {
    const image = new Image();
    image.src = `data:image/png;base64,${source}`;
    await image.decode();
    const canvas = new OffscreenCanvas(image.width, image.height).getContext("2d");
    canvas.drawImage(image, 0, 0);
    const { data } = canvas.getImageData(0, 0, image.width, image.height);
    const counts = new Map(), places = new Map();
    for (let at = 0; at < data.length; at += 4) {
        const colour = (data[at] << 16) | (data[at + 1] << 8) | data[at + 2];
        counts.set(colour, (counts.get(colour) ?? 0) + 1);
    }
    const palette = [...counts].sort((one, other) => other[1] - one[1]).slice(0, 255).map(([colour]) => colour);
    const distance = (one, other) =>
        [16, 8, 0].reduce((sum, bits) => sum + (((one >> bits) & 255) - ((other >> bits) & 255)) ** 2, 0);
    for (const colour of counts.keys()) {
        let best = 0;
        for (let place = 1; place < palette.length; place++)
            if (distance(colour, palette[place]) < distance(colour, palette[best])) best = place;
        places.set(colour, best);
    }
    let indices = "";
    for (let at = 0; at < data.length; at += 4)
        indices += String.fromCharCode(places.get((data[at] << 16) | (data[at + 1] << 8) | data[at + 2]));
    return { width: image.width, height: image.height, palette, indices: btoa(indices) };
}"""


@contextmanager
def served() -> Iterator[str]:
    """Yield the address of the example agency, with a store that nothing is left of."""
    with tempfile.TemporaryDirectory() as folder, open(f"{folder}/log", "w+") as log:
        settings = {"PORT": "0", "STORE": f"sqlite:///{folder}/agency.db", "PLANFIX_BOARD": f"{folder}/board.db"}
        kept = {name: value for name, value in os.environ.items() if name != "OPENAI_API_KEY"}
        paths = os.pathsep.join(map(str, (ROOT, ROOT / "src", ROOT / "agents")))
        environment = {**kept, **settings, "PYTHONPATH": paths}
        command = [sys.executable, "-m", "handler.local"]
        with subprocess.Popen(command, env=environment, cwd=ROOT, stdout=log, stderr=log) as process:
            try:
                yield _address(process, Path(log.name))
            finally:
                process.kill()


def _address(process: subprocess.Popen[bytes], log: Path) -> str:
    while process.poll() is None:
        if found := re.search(r"http://127\.0\.0\.1:\d+(?=\D)", log.read_text()):
            return found[0]
        time.sleep(0.1)
    raise SystemExit(log.read_text())


def work(page: Page) -> None:
    """Ask, and go to where the picture is taken."""
    page.goto("/")
    page.get_by_label("Message", exact=True).fill(_QUESTION)
    page.get_by_role("button", name="Send").click()
    expect(page.get_by_text("Dear ").first).to_be_visible()
    page.get_by_text("steps").click()
    page.get_by_label("Message", exact=True).blur()
    page.wait_for_load_state("networkidle")


def with_palette(page: Page, screenshot: bytes) -> bytes:
    """Return a PNG of 256 colours, which has a third of the bytes."""
    found = page.evaluate(_PALETTE, base64.b64encode(screenshot).decode())
    width, height, indices = found["width"], found["height"], base64.b64decode(found["indices"])
    rows = b"".join(b"\0" + indices[row * width : (row + 1) * width] for row in range(height))
    colours = b"".join(struct.pack(">I", colour)[1:] for colour in found["palette"])
    chunks = [
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)),
        (b"PLTE", colours),
        (b"IDAT", zlib.compress(rows, 9)),
        (b"IEND", b""),
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )


def main() -> None:
    chromium = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    if not chromium:
        raise SystemExit("no Chromium: CHROMIUM=/path/to/one, or on Debian: apt install chromium")
    with served() as url, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        context = browser.new_context(
            base_url=url,
            locale="en-US",
            color_scheme="light",
            reduced_motion="reduce",
            viewport={"width": WIDTH, "height": HEIGHT},
            device_scale_factor=PIXELS,
        )
        page = context.new_page()
        work(page)
        FILE.write_bytes(with_palette(browser.new_page(), page.screenshot()))
        browser.close()
    print(f"{FILE} is written: {FILE.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
