"""Authentication in the way that AUTH names: keys, iam, jwt, or none on localhost."""

from agency_lambda.auth.middleware import Authentication, authenticator, with_security_scheme

__all__ = ["Authentication", "authenticator", "with_security_scheme"]
