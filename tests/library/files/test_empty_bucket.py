"""`make destroy` empties the bucket first, which could not be deleted else."""

import runpy

from agency_lambda.testing.aws import bucket
from tests.library.paths import ROOT


def test_every_object_of_a_bucket_is_deleted() -> None:
    empty = runpy.run_path(str(ROOT / "scripts" / "empty_bucket.py"))["empty"]
    with bucket() as (name, client, _):
        empty(client, name)  # there is nothing
        for number in range(3):
            client.put_object(Bucket=name, Key=f"file-{number}", Body=b"x")
        empty(client, name)
        assert client.list_objects_v2(Bucket=name)["KeyCount"] == 0
