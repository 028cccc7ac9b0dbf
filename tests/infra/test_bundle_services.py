"""botocore in the bundle calls AWS as all of botocore does."""

import gzip
import json
import shutil
from pathlib import Path
from typing import Any

import botocore
import botocore.session
import pytest

from infra import bundle_services
from infra.bundle_left_out import SERVICES

DATA = Path(botocore.__file__).parent / "data"
REGIONS = ("eu-central-1", "us-east-1", "us-gov-west-1", "cn-north-1", "ap-southeast-3")


@pytest.fixture(scope="module")
def trimmed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    bundle = tmp_path_factory.mktemp("bundle")
    data = bundle / "botocore" / "data"
    data.mkdir(parents=True)
    for path in [*DATA.glob("*.json"), *(DATA / name for name in (*SERVICES, "ses"))]:  # ses: its endpoints are email's
        (shutil.copytree if path.is_dir() else shutil.copy)(path, data / path.name)
    bundle_services.trim(bundle)
    return data


def client(service: str, region: str, data: Path | None = None) -> Any:
    session = botocore.session.Session()
    if data:
        session.set_config_variable("data_path", str(data))  # is asked first
    return session.create_client(service, region, aws_access_key_id="a", aws_secret_access_key="b")


@pytest.mark.parametrize("service", sorted(SERVICES | {"ses"}))
def test_endpoints_calls_and_errors_are_the_same(trimmed: Path, service: str) -> None:
    for region in REGIONS:
        ours, whole = client(service, region, trimmed), client(service, region)
        assert ours.meta.endpoint_url == whole.meta.endpoint_url
        assert ours.meta.config.signature_version == whole.meta.config.signature_version
    model, other = ours.meta.service_model, whole.meta.service_model
    assert model.operation_names == other.operation_names
    for name in model.operation_names:
        ours_input, its_input = model.operation_model(name).input_shape, other.operation_model(name).input_shape
        assert (ours_input and [*ours_input.members]) == (its_input and [*its_input.members])
    assert [shape.name for shape in model.error_shapes] == [shape.name for shape in other.error_shapes]
    assert ours.waiter_names == whole.waiter_names


def test_what_explains_and_what_is_elsewhere_is_gone(trimmed: Path) -> None:
    size = sum(path.stat().st_size for path in trimmed.rglob("*") if path.is_file())
    whole = [DATA / "endpoints.json", *(path for name in (*SERVICES, "ses") for path in (DATA / name).rglob("*"))]
    assert size < 0.2 * sum(path.stat().st_size for path in whole if path.is_file())
    endpoints = json.loads((trimmed / "endpoints.json").read_text())["partitions"][0]["services"]
    assert {"dynamodb", "sqs", "email"} <= {*endpoints}
    assert "ec2" not in endpoints
    (model,) = (trimmed / "sqs").rglob("service-2.json.gz")
    told = gzip.decompress(model.read_bytes()).decode()
    assert '"documentation":"' not in told


def test_a_member_that_is_named_documentation_stays() -> None:
    shape = {"members": {"documentation": {"shape": "Text", "documentation": "said"}}, "documentation": "said"}
    assert bundle_services._plain([shape]) == [{"members": {"documentation": {"shape": "Text"}}}]


def test_the_same_input_gives_the_same_bytes(trimmed: Path, tmp_path: Path) -> None:
    shutil.copytree(trimmed, tmp_path / "botocore" / "data")
    bundle_services.trim(tmp_path)
    for path in trimmed.rglob("*.json*"):
        assert (tmp_path / "botocore" / "data" / path.relative_to(trimmed)).read_bytes() == path.read_bytes()
