"""`python scripts/openapi.py`: write docs/openapi.json, the document of the service's own routes."""

import json
import os
from pathlib import Path

FILE = Path(__file__).parents[1] / "docs" / "openapi.json"


def document() -> str:
    """Return the document with the settings' defaults, on a machine of one's own or anywhere else."""
    from agency_lambda.app import create_app

    return json.dumps(create_app().openapi(), indent=1, ensure_ascii=False) + "\n"


def main() -> None:
    from agency_lambda.settings import Settings

    for name in Settings.model_fields:
        os.environ.pop(name.upper(), None)
    FILE.write_text(document())
    print(f"{FILE} is written")


if __name__ == "__main__":
    main()
