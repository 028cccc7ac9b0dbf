"""`python -m handler.compiled`: the texts that `dataclasses` writes for what the service imports, as a list in JSON."""

import builtins
import dataclasses
import json
from importlib import import_module
from typing import Any

_ENTRIES = ("handler.api", "handler.stream", "handler.worker")


def main() -> None:
    texts = set()

    def record(text: str, names: dict[str, Any], made: dict[str, Any]) -> None:
        texts.add(text)
        builtins.exec(text, names, made)

    vars(dataclasses)["exec"] = record
    for name in _ENTRIES:
        import_module(name)
    import_module("handler.catalogue.own_modules").import_all()
    print(json.dumps(sorted(texts)))


if __name__ == "__main__":
    main()
