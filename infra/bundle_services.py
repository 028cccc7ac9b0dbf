"""What botocore knows of AWS, cut down to the services in the bundle: a client reads all of it when it is made.

The endpoints of the other services go, and what explains a service to people; every call, shape and rule stays.
"""

import gzip
import json
from pathlib import Path
from typing import Any


def trim(bundle: Path) -> None:
    """The data of botocore, in place. Raises KeyError where botocore writes it differently."""
    data = bundle / "botocore" / "data"
    models = list(data.glob("*/*/service-2.json.gz"))
    prefixes = {_without_explanations(model) for model in models}
    for examples in data.glob("*/*/examples-1.json"):
        examples.unlink()
    endpoints = json.loads((data / "endpoints.json").read_text())
    for partition in endpoints["partitions"]:
        partition["services"] = {name: told for name, told in partition["services"].items() if name in prefixes}
    (data / "endpoints.json").write_text(json.dumps(endpoints, separators=(",", ":")))


def _without_explanations(model: Path) -> str:
    """Returns the service's name among the endpoints."""
    told = json.loads(gzip.decompress(model.read_bytes()))
    plain = json.dumps(_plain(told), separators=(",", ":")).encode()
    model.write_bytes(gzip.compress(plain, mtime=0))
    return str(told["metadata"]["endpointPrefix"])


def _plain(told: Any) -> Any:
    """Without "documentation" where that is a text: a shape's member may have the name, and is an object."""
    if isinstance(told, list):
        return [_plain(each) for each in told]
    if not isinstance(told, dict):
        return told
    return {
        key: _plain(value) for key, value in told.items() if not (key == "documentation" and isinstance(value, str))
    }
