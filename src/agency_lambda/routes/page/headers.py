"""What a browser may do with the page, and with what the page loads."""

from urllib.parse import urlsplit

#: Features that no part of the page uses. Clipboard and full screen are the person's to ask for.
_OFF = ("camera", "display-capture", "geolocation", "microphone", "midi", "payment", "serial", "usb")
_POLICY = {
    "default-src": "'none'",
    "script-src": "'self'",
    "style-src": "'self'",
    "img-src": "'self' data: blob:",
    "connect-src": "'self'",
    "worker-src": "'self'",
    "manifest-src": "'self'",
    "base-uri": "'none'",
    "form-action": "'none'",
    "frame-ancestors": "'none'",
    "object-src": "'none'",
    "require-trusted-types-for": "'script'",  # text never becomes code: no innerHTML, no eval
    "trusted-types": "agency-lambda",  # the one policy that the page makes: it returns the URL of the page's own worker
}
_HEADERS = {
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": ", ".join(f"{feature}=()" for feature in _OFF),
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}


def security_headers(token_endpoint: str | None = None) -> dict[str, str]:
    """token_endpoint: of the issuer, the only other address that the page may ask."""
    policy = dict(_POLICY)
    if token_endpoint:
        url = urlsplit(token_endpoint)
        policy["connect-src"] += f" {url.scheme}://{url.netloc}"
    return {**_HEADERS, "content-security-policy": "; ".join(f"{name} {value}" for name, value in policy.items())}
