"""Which addresses images are fetched from."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from aivax_cli.server.images import is_allowed, is_public


@pytest.mark.parametrize("address", ["93.184.215.14", "1.1.1.1", "2606:4700::6810:84e5", "::ffff:1.1.1.1"])
def test_what_is_on_the_open_internet_may_be_reached(address):
    assert is_public(ip_address(address))


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "127.255.255.254",
        "0.0.0.0",
        "10.1.2.3",
        "172.16.0.1",
        "192.168.1.1",
        "100.64.0.1",
        "169.254.169.254",
        "192.0.0.192",
        "168.63.129.16",
        "198.18.0.1",
        "224.0.0.1",
        "239.255.255.250",
        "255.255.255.255",
        "::",
        "::1",
        "fe80::1",
        "fe80::1%eth0",
        "fd00:ec2::254",
        "ff02::1",
        "::ffff:127.0.0.1",
        "::ffff:169.254.169.254",
        "::ffff:a00:1",
        "2002:7f00:1::",
        "2002:a9fe:a9fe::1",
        "64:ff9b::7f00:1",
        "64:ff9b::a00:1",
        "2001:0:4136:e378:8000:63bf:3fff:fdd2",
    ],
)
def test_what_is_not_on_the_open_internet_is_not_reached_however_it_is_written(address):
    assert not is_public(ip_address(address))


HOSTS = ("images.example.com", "*.cdn.example", "other.example:8443")


@pytest.mark.parametrize(
    "url",
    [
        "https://images.example.com/a.png",
        "https://IMAGES.example.com./a.png",
        "http://images.example.com:80/a.png",
        "https://images.example.com:443/a.png",
        "https://a.cdn.example/x",
        "https://a.b.cdn.example/x",
        "https://other.example:8443/x",
    ],
)
def test_an_allowed_host_is_known_however_it_is_written(url):
    assert is_allowed(url, HOSTS)


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com/a.png",
        "https://cdn.example/x",
        "https://evilcdn.example/x",
        "https://images.example.com.evil.example/x",
        "https://images.example.com@evil.example/x",
        "https://user:password@images.example.com/x",
        "https://evil.example\\@images.example.com/x",
        "https://evil.example#@images.example.com/x",
        "https://evil.example?images.example.com",
        "https://images.example.com:8443/x",
        "https://other.example/x",
        "https://images.example.com:99999/x",
        "ftp://images.example.com/x",
        "file://images.example.com/etc/passwd",
        "gopher://images.example.com/",
        "https:///x",
        "https://[::1/x",
        "",
    ],
)
def test_other_hosts_are_not(url):
    assert not is_allowed(url, HOSTS)
