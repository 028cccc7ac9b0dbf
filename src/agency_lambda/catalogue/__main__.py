"""Check every agency for the bundle, and write the findings to a file.

{"manifest": see manifest.py; "problems": agency -> sentence; "doubts": sentences; "unset": agency -> variables;
"files": imported; "roots": source folders}
"""

import json
import sys
from pathlib import Path

from agency_lambda.catalogue import source_roots
from agency_lambda.catalogue.check import survey
from agency_lambda.errors import AgencyMisconfigured


def main(target: Path) -> None:
    try:
        found = survey(fill=True)
    except AgencyMisconfigured as error:
        target.write_text(json.dumps({"manifest": {}, "problems": {"": str(error)}}))
        return
    report = {
        "manifest": {each.name: {"variables": list(each.variables), "description": each.description} for each in found},
        "problems": {each.name: each.problem for each in found if each.problem},
        "doubts": [f"agency {each.name!r} could not be checked further: {each.doubt}" for each in found if each.doubt],
        "unset": {each.name: each.unset for each in found},
        "files": sorted({str(file) for each in found for file in each.files}),
        "roots": [str(_agents()), *map(str, source_roots.all_folders())],
    }
    target.write_text(json.dumps(report))


def _agents() -> Path:
    return Path(str(sys.modules["agencies"].__file__)).absolute().parent


if __name__ == "__main__":
    main(Path(sys.argv[1]))
