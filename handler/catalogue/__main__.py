"""`python -m handler.catalogue FILE`: check every agency, and write what was found into FILE, for `infra.bundle`.

Shape: {"agencies": the manifest, see handler/catalogue/manifest.py; "problems": sentences; "lacks": sentences;
"files": paths of the user's files that were imported}.
"""

import json
import sys
from pathlib import Path

from handler.catalogue import claims
from handler.catalogue.check import survey
from handler.errors import AgencyMisconfigured


def main(target: Path) -> None:
    """Write the file."""
    try:
        found = survey(fill=True)
    except AgencyMisconfigured as error:
        target.write_text(json.dumps({"problems": [str(error)]}))
        return
    agencies = {each.name: {"variables": list(each.variables), "description": each.description} for each in found}
    said = {
        "agencies": agencies,
        "problems": [each.problem for each in found if each.problem],
        "lacks": [sentence for each in found for sentence in each.lacks],
        "files": sorted(map(str, claims.loaded(_agents()))),
    }
    target.write_text(json.dumps(said))


def _agents() -> Path:
    return Path(str(sys.modules["agencies"].__file__)).resolve().parent


if __name__ == "__main__":
    main(Path(sys.argv[1]))
