"""Who may ask: tokens, origins, hosts, and where a server without a token may listen."""

import base64

import msgspec
import pytest

from beaver_actors.server.auth import Auth, ExposureError, check_exposure, is_loopback
from beaver_actors.server.http import Request


def asked(**headers: str) -> Request:
    return Request("GET", "/", headers={name.replace("_", "-"): value for name, value in headers.items()})


def status(auth: Auth, **headers: str) -> int | None:
    refusal = auth.check(asked(**headers))
    return None if refusal is None else refusal.status


def as_subprotocol(token: bytes) -> str:
    return "beaver.v1+json, beaver.bearer." + base64.urlsafe_b64encode(token).decode().rstrip("=")


def test_without_a_token_everybody_here_may_ask() -> None:
    """Auth, by example."""
    assert status(Auth(None), host="127.0.0.1:7440") is None
    assert status(Auth(None), host="localhost:7440", authorization="Bearer of nothing") is None


@pytest.mark.parametrize("token", ["s3cret", "x" * 300, "with space", "pässwört"])
def test_the_right_token_opens_both_ways(token: str) -> None:
    """Auth, by example: as a header, and as a subprotocol because browsers cannot set headers."""
    auth = Auth(token)
    assert status(auth, authorization="Bearer " + token.encode().decode("latin-1")) is None
    assert status(auth, authorization="bearer " + token.encode().decode("latin-1")) is None
    assert status(auth, sec_websocket_protocol=as_subprotocol(token.encode())) is None


@pytest.mark.parametrize(
    "headers",
    [
        {"authorization": "Bearer s3cre"},
        {"authorization": "Bearer s3cret2"},
        {"authorization": "Bearer S3CRET"},
        {"authorization": "Bearer s3cret, Bearer s3cret"},
        {"sec_websocket_protocol": as_subprotocol(b"other")},
        {"sec_websocket_protocol": "beaver.bearer."},
        {"sec_websocket_protocol": "beaver.bearer.é"},
        {"sec_websocket_protocol": "beaver.bearer.a"},
    ],
)
def test_a_wrong_token_is_refused_as_wrong(headers: dict[str, str]) -> None:
    """Auth, by example."""
    refusal = Auth("s3cret").check(asked(**headers))
    assert refusal is not None
    assert refusal.status == 401
    assert "invalid_token" in dict(refusal.headers)["WWW-Authenticate"]
    assert msgspec.json.decode(refusal.body) == {"error": {"code": "unauthorized", "message": "wrong token"}}


@pytest.mark.parametrize("headers", [{}, {"authorization": "Basic czNjcmV0"}, {"authorization": "Bearer"}])
def test_a_missing_token_is_asked_for(headers: dict[str, str]) -> None:
    """Auth, by example."""
    refusal = Auth("s3cret").check(asked(**headers))
    assert refusal is not None
    assert refusal.status == 401
    assert dict(refusal.headers)["WWW-Authenticate"] == 'Bearer realm="beaver_actors"'
    assert b"Authorization: Bearer TOKEN" in refusal.body


def test_the_token_is_not_kept() -> None:
    """Auth, by looking at everything it holds: a dump of the process's objects shows a digest only."""
    auth = Auth("s3cret")
    assert "s3cret" not in repr(vars(auth))


def test_an_empty_token_is_no_token() -> None:
    """Auth, by example: an empty file must not mean that an empty text opens the door."""
    with pytest.raises(ValueError, match="token: expected text or nothing at all"):
        Auth("")


@pytest.mark.parametrize(
    ("origin", "host", "expected"),
    [
        ("http://127.0.0.1:7440", "127.0.0.1:7440", None),
        ("https://queue.example.com", "queue.example.com", None),
        ("http://QUEUE.example.com", "queue.example.com:80", None),
        ("https://queue.example.com:443", "queue.example.com", None),
        ("https://trusted.example", "queue.example.com", None),
        ("https://evil.example", "queue.example.com", 403),
        ("http://trusted.example", "queue.example.com", 403),
        ("https://queue.example.com:8443", "queue.example.com", 403),
        ("https://queue.example.com.evil.example", "queue.example.com", 403),
        ("null", "queue.example.com", 403),
        ("", "queue.example.com", 403),
        ("http://", "", 403),
    ],
)
def test_a_page_from_elsewhere_is_refused_unless_listed(origin: str, host: str, expected: int | None) -> None:
    """Auth, by a table of origins: another site's page must not speak with this user's rights."""
    auth = Auth(None, ["https://trusted.example"], loopback=False)
    assert status(auth, origin=origin, host=host) == expected


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1:7440", None),
        ("127.0.0.1", None),
        ("127.9.9.9:1", None),
        ("[::1]:7440", None),
        ("[::1]", None),
        ("localhost:7440", None),
        ("LOCALHOST.:7440", None),
        ("my.localhost:7440", None),
        ("queue.example.com", None),
        ("queue.example.com:443", 403),
        ("evil.example:7440", 403),
        ("localhost.evil.example", 403),
        ("192.168.1.10:7440", 403),
        ("127.0.0.1.evil.example", 403),
        ("", 403),
        ("[::2]:7440", 403),
    ],
)
def test_a_name_that_is_made_to_point_here_is_refused(host: str, expected: int | None) -> None:
    """Auth, by a table of hosts: with DNS rebinding the origin is right and only Host tells."""
    auth = Auth(None, ["https://queue.example.com"])
    assert status(auth, host=host) == expected
    assert status(Auth(None, loopback=False), host=host) is None


def test_a_rebound_page_is_refused_although_its_origin_is_its_host() -> None:
    """Auth, by example."""
    assert status(Auth(None), host="evil.example:7440", origin="http://evil.example:7440") == 403


@pytest.mark.parametrize(
    "origin", ["queue.example.com", "https://", "https://a/b", "ftp://a", "*", "https://a/"]
)
def test_an_origin_that_could_never_match_is_an_error(origin: str) -> None:
    """Auth, by example: a typing error in the list is told at the start."""
    with pytest.raises(ValueError, match="allowed_origins: expected scheme://host"):
        Auth(None, [origin])


@pytest.mark.parametrize("host", ["127.0.0.1", "127.3.2.1", "localhost", "::1", "[::1]", "::ffff:127.0.0.1"])
def test_this_machine_alone_needs_no_token(host: str) -> None:
    """check_exposure, by example."""
    assert is_loopback(host)
    check_exposure(host, None, insecure=False)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "", "10.0.0.1", "queue.example.com", "fe80::1"])
def test_listening_beyond_this_machine_needs_a_token_or_a_clear_word(host: str) -> None:
    """check_exposure, by example; the message names the three ways out."""
    check_exposure(host, "s3cret", insecure=False)
    check_exposure(host, None, insecure=True)
    with pytest.raises(ExposureError, match=r"token_file.* 127\.0\.0\.1.*insecure: true"):
        check_exposure(host, None, insecure=False)
