"""Which host names are ours."""

import pytest

from app.server.guard import HostRule

LOOPBACK = HostRule(is_loopback=True, names=frozenset({"127.0.0.1"}))
NETWORK = HostRule(is_loopback=False, names=frozenset({"0.0.0.0", "quay.local"}))


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "127.0.0.1:8642", "localhost:1", "LOCALHOST", "[::1]:8642", "127.1.2.3"]
)
def test_loopback_names_are_ours(host: str) -> None:
    assert LOOPBACK.allows(host)
    assert NETWORK.allows(host)


@pytest.mark.parametrize("host", ["192.168.1.4:8642", "[fe80::1]", "quay.local:80"])
def test_addresses_of_the_network_are_ours_only_there(host: str) -> None:
    assert not LOOPBACK.allows(host)
    assert NETWORK.allows(host)


@pytest.mark.parametrize(
    "host",
    ["", "evil.example", "127.0.0.1.evil.example", "localhost@evil.example", "evil.example#localhost",
     "evil.example/localhost", "127.0.0.1 evil.example", "[::1", "::1]", "0x7f000001", "xn--localhost-", "localhost."],
)  # fmt: skip
def test_names_that_can_be_rebound_are_not(host: str) -> None:
    assert not LOOPBACK.allows(host)
    assert not NETWORK.allows(host)
