"""Make a key: `make key OWNER=name`, with `ROLE=operator` an operator's, and with `SECRET=id` put it into a secret."""

import hashlib
import secrets
import sys

from agency_lambda.owner_digest import owner_digest
from agency_lambda.validators import HASHED, OPERATOR, OWNER, api_keys

_REPORT = """\
The key, shown only this once:

    {key}

{where}

Logs, metrics and traces name {owner} as {digest}: make logs OWNER={owner}"""
_ADD_IT_TO_API_KEYS = """\
Add this pair to API_KEYS (pairs are separated by commas, and an owner may have several keys):

    {pair}

Call with it: curl -H "Authorization: Bearer $KEY" localhost:8000/agencies"""
_NOT_MADE = (
    f"No key made: write `make key OWNER=name`, the name as 1 to 64 of a-z A-Z 0-9 _ . @ -, not with {HASHED} in front "
    f"(and ROLE={OPERATOR} for whom all runs are to be open)"
)
_ADDED_TO_SECRET = """\
Its SHA-256 is in the secret {secret}, and it opens within a minute.

Call with it: make ask URL=https://... KEY=... MESSAGE=..."""


def main() -> None:
    match sys.argv[1:]:
        case [owner]:
            role, secret = "", ""
        case [owner, "--role", role]:
            secret = ""
        case [owner, "--secret", secret] if secret:
            role = ""
        case [owner, "--role", role, "--secret", secret] if secret:
            pass
        case _:
            owner, role, secret = "", "", ""
    if not OWNER.fullmatch(owner) or owner.startswith(HASHED) or role not in ("", OPERATOR):
        sys.exit(_NOT_MADE)
    key = f"al_{secrets.token_urlsafe(32)}"
    pair = f"{owner}:{hashlib.sha256(key.encode()).hexdigest()}{f':{role}' if role else ''}"
    if secret:
        _add_to_secret(secret, pair)
    where = _ADDED_TO_SECRET.format(secret=secret) if secret else _ADD_IT_TO_API_KEYS.format(pair=pair)
    print(_REPORT.format(key=key, where=where, owner=owner, digest=owner_digest(owner)))


def _add_to_secret(secret: str, pair: str) -> None:
    from agency_lambda.secrets import REFUSALS, client, read

    try:
        pairs = read(secret).rstrip(" ,\t\r\n")
        if pairs:
            api_keys(pairs)
        client().put_secret_value(SecretId=secret, SecretString=f"{pairs},\n{pair}" if pairs else pair)
    except REFUSALS as error:
        sys.exit(f"No key made: AWS refused the secret {secret}: {error}")
    except ValueError as error:
        sys.exit(f"No key made: the secret {secret} cannot be added to, as it is: {error}")


if __name__ == "__main__":
    main()
