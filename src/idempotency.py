"""The old name of `agency_lambda.idempotency_key`, for one release."""

import warnings

from agency_lambda import idempotency_key

__all__ = ["idempotency_key"]
warnings.warn("write `from agency_lambda import idempotency_key`", DeprecationWarning, stacklevel=2)
