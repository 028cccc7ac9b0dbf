"""Which addresses a webhook may be at: what an owner writes, and what its name server answers."""

import asyncio
import socket
from typing import Any

import pytest

from agency_lambda.webhooks import targets
from agency_lambda.webhooks.targets import AddressRefused, parse, resolve

PUBLIC, PUBLIC_6 = "93.184.215.14", "2606:2800:21f:cb07:6820:80da:af6b:8b2c"
NOT_PUBLIC = [
    *("127.0.0.1", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.1.1"),
    *("255.255.255.255", "192.0.2.1", "198.18.0.1", "240.0.0.1", "192.88.99.1"),
    *("::1", "::", "fe80::1", "fe80::1%eth0", "fd00:ec2::254", "ff02::1", "2001:db8::1", "2001::1", "3fff::1"),
    *("::ffff:127.0.0.1", "::ffff:8.8.8.8", "::127.0.0.1"),  # mapped, compatible
    *("2002:7f00:1::", "2002:808:808::"),  # 6to4
    *("64:ff9b::7f00:1", "64:ff9b::808:808", "64:ff9b:1::a00:1"),  # NAT64
]


@pytest.fixture
def on_lambda(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_NAME", "worker")


def answers(monkeypatch: pytest.MonkeyPatch, *addresses: str) -> list[str]:
    """Let every name have these addresses. Returns the names that are asked for, as they come."""
    asked: list[str] = []

    def getaddrinfo(host: str, port: int, **_: Any) -> list[Any]:
        asked.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in addresses]

    monkeypatch.setattr(targets.socket, "getaddrinfo", getaddrinfo)
    return asked


@pytest.mark.usefixtures("on_lambda")
@pytest.mark.parametrize("address", NOT_PUBLIC)
def test_name_with_an_address_that_is_not_public_is_refused(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    for addresses in ([address], [PUBLIC, address], [address, PUBLIC_6]):
        answers(monkeypatch, *addresses)
        with pytest.raises(AddressRefused, match="not at a public address"):
            asyncio.run(resolve(parse("https://hooks.example.com/")))


@pytest.mark.usefixtures("on_lambda")
def test_name_with_public_addresses_is_looked_up_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = answers(monkeypatch, PUBLIC, PUBLIC_6, PUBLIC)
    assert asyncio.run(resolve(parse("https://Hooks.example.com/"))) == [PUBLIC, PUBLIC_6]
    assert asked == ["hooks.example.com"]


@pytest.mark.usefixtures("on_lambda")
@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("http://hooks.example.com/", "must be https"),
        ("https://user@hooks.example.com/", "without user"),
        ("https://user:word@hooks.example.com/", "without user"),
        ("https://hooks.example.com\\@10.0.0.1/", "must be https"),
        ("https://hooks.example.com/#a", "fragment"),
        ("https://hooks.example.com/a b", "must be https"),
        ("https://hooks.example.com/\r\nx: y", "must be https"),
        ("https://hooks.example.com/\n", "must be https"),
        ("https://hööks.example.com/", "ASCII"),
        ("https://hooks.example.com./", "must be https"),
        ("https:///path", "must be https"),
        ("ftp://hooks.example.com/", "must be https"),
        ("file:///etc/passwd", "must be https"),
        ("https://hooks.example.com:22/", "port"),
        ("https://hooks.example.com:80/", "port"),
        ("https://hooks.example.com:65536/", "port"),
        ("https://hooks.example.com:-1/", "must be https"),
        ("https://10.0.0.1/", "public"),
        ("https://[::ffff:10.0.0.1]/", "public"),
        ("https://[fe80::1%25eth0]/", "must be https"),
    ],
)
def test_url_that_is_refused(url: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        parse(url)


@pytest.mark.usefixtures("on_lambda")
@pytest.mark.parametrize("host", ["localhost", "127.1", "2130706433", "0x7f.1", "0177.0.0.1"])
def test_another_spelling_of_loopback_is_refused_when_it_is_looked_up(host: str) -> None:
    with pytest.raises(AddressRefused):
        asyncio.run(resolve(parse(f"https://{host}/")))


@pytest.mark.usefixtures("on_lambda")
def test_what_a_good_url_becomes() -> None:
    target = parse("HTTPS://Hooks.Example.com?a=b")
    assert (target.host, target.port, target.path, target.host_header) == (
        "hooks.example.com",
        443,
        "/?a=b",
        target.host,
    )
    assert parse("https://hooks.example.com:8443/x").host_header == "hooks.example.com:8443"
    assert parse(f"https://[{PUBLIC_6}]:8443/x").host_header == f"[{PUBLIC_6}]:8443"


def test_loopback_is_allowed_on_this_machine_and_a_private_network_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    for url in ("http://127.0.0.1:1234/", "http://localhost/", "http://[::1]:1234/", "https://127.0.0.1/"):
        parse(url)
    for url in ("http://10.0.0.1/", f"http://{PUBLIC}/", "http://hooks.example.com/", "http://127.1/"):
        with pytest.raises(ValueError, match="must be https"):
            parse(url)
    with pytest.raises(ValueError, match="public"):
        parse("https://169.254.169.254/")
    for found in ([PUBLIC], ["127.0.0.1", "10.0.0.1"]):
        answers(monkeypatch, *found)
        with pytest.raises(AddressRefused):  # the first in clear text
            asyncio.run(resolve(parse("http://localhost/")))


def test_name_without_an_address(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: Any, **__: Any) -> Any:
        raise socket.gaierror

    monkeypatch.setattr(targets.socket, "getaddrinfo", fails)
    with pytest.raises(AddressRefused, match="no address"):
        asyncio.run(resolve(parse("https://hooks.example.com/")))
    monkeypatch.undo()
    with pytest.raises(AddressRefused, match="no address"):
        asyncio.run(resolve(parse(f"https://{'a' * 64}.example.com/")))
