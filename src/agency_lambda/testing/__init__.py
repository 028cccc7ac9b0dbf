"""Tests for whoever writes agencies. Nothing here is imported by the service or shipped to Lambda.

`agencies` holds what is promised of every agency in `agents/`; `service` the service in this process; `events` what
Lambda sends; `aws` and `vault` DynamoDB and Secrets Manager on loopback.
"""

import pytest

pytest.register_assert_rewrite(f"{__name__}.agencies", f"{__name__}.replay")
