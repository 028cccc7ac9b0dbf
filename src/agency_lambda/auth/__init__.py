"""Who may call. AUTH says how callers show who they are: `keys`, `iam`, `jwt`, or `none` on this machine.

Each way is a `Caller` in a file of its own. `python -m agency_lambda.auth OWNER` makes a key.
"""

from agency_lambda.auth.middleware import Authentication, authenticator, with_security_scheme

__all__ = ["Authentication", "authenticator", "with_security_scheme"]
