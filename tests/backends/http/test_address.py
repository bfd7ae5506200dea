"""Addresses as people write them."""

import pytest

from engine.backends.http.address import parse_address
from engine.errors import ServerError


@pytest.mark.parametrize(
    ("text", "url", "is_loopback"),
    [
        ("8000", "http://127.0.0.1:8000", True),
        (":8000", "http://127.0.0.1:8000", True),
        ("localhost:11434", "http://localhost:11434", True),
        ("http://127.0.0.1:8000/v1", "http://127.0.0.1:8000", True),
        ("http://127.0.0.1:8000/v1/", "http://127.0.0.1:8000", True),
        ("http://[::1]:1234", "http://[::1]:1234", True),
        ("127.9.9.9:80", "http://127.9.9.9:80", True),
        ("https://models.example.org/team/v1", "https://models.example.org/team", False),
        ("192.168.1.20:8080", "http://192.168.1.20:8080", False),
        ("localhost.example.org:8000", "http://localhost.example.org:8000", False),
        ("127.0.0.1.example.org:8000", "http://127.0.0.1.example.org:8000", False),
    ],
)
def test_addresses(text: str, url: str, is_loopback: bool) -> None:
    address = parse_address(text)
    assert (address.url, address.is_loopback) == (url, is_loopback)
    assert address.is_encrypted == url.startswith("https:")


@pytest.mark.parametrize(
    "text",
    ["", "   ", "ftp://x:1", "http://", "http://host:99999", "http://host:0", "host:port", "http://h/?q=1"],
)
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(ServerError) as caught:
        parse_address(text)
    assert caught.value.hint


def test_a_password_is_refused_and_not_repeated() -> None:
    with pytest.raises(ServerError, match="password") as caught:
        parse_address("http://me:secret@localhost:8000")
    assert "secret" not in str(caught.value)
