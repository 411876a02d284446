"""What the environment says about the package index and the cache."""

import os
from pathlib import Path

import pytest

from aivax_cli.assets.config import PYPI, index_config, masked
from aivax_cli.assets.offline import is_offline
from aivax_cli.assets.store import default_cache_dir

NO_FILES = {"PIP_CONFIG_FILE": os.devnull}


@pytest.mark.parametrize(
    ("environ", "urls"),
    [
        ({}, [PYPI]),
        ({"PIP_INDEX_URL": "https://a/simple/"}, ["https://a/simple"]),
        ({"UV_INDEX_URL": "https://b/simple"}, ["https://b/simple"]),
        ({"UV_DEFAULT_INDEX": "corp=https://c/simple"}, ["https://c/simple"]),
        ({"PIP_INDEX_URL": "https://a", "UV_INDEX_URL": "https://b"}, ["https://a"]),
        ({"PIP_EXTRA_INDEX_URL": "https://x https://y"}, [PYPI, "https://x", "https://y"]),
        ({"UV_INDEX": "corp=https://u:p@c/simple?x=1"}, [PYPI, "https://u:p@c/simple?x=1"]),
        ({"PIP_INDEX_URL": "file:///srv/simple"}, [PYPI]),
        ({"PIP_EXTRA_INDEX_URL": "file:///srv/simple /srv https://x"}, [PYPI, "https://x"]),
        ({"PIP_INDEX_URL": "https://a", "PIP_EXTRA_INDEX_URL": "https://a/"}, ["https://a"]),
    ],
)
def test_indexes_are_those_that_pip_and_uv_would_ask(environ: dict[str, str], urls: list[str]) -> None:
    assert list(index_config(NO_FILES | environ).urls) == urls


@pytest.mark.parametrize(
    ("value", "proxy"), [("host:3128", "http://host:3128"), ("http://h:1", "http://h:1")]
)
def test_pips_proxy_is_used(value: str, proxy: str) -> None:
    assert index_config(NO_FILES | {"PIP_PROXY": value}).proxy == proxy


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://ana:s3@host:8/simple", "https://***@host:8/simple"),
        ("https://token@host/simple/", "https://***@host/simple/"),
        ("https://host/f.whl?sig=abc#sha256=1", "https://host/f.whl"),
    ],
)
def test_a_shown_address_holds_no_secret(url: str, shown: str) -> None:
    assert masked(url) == shown


@pytest.mark.parametrize(("value", "offline"), [("1", True), ("true", True), ("0", False), ("", False)])
def test_offline_is_what_the_variable_says(value: str, offline: bool) -> None:
    assert is_offline({"AIVAX_OFFLINE": value}) is offline


def test_the_cache_directory_can_be_named() -> None:
    assert default_cache_dir({"AIVAX_CACHE_DIR": "/srv/cache"}) == Path("/srv/cache")


def test_the_cache_directory_is_the_systems_by_default() -> None:
    assert default_cache_dir({}).name == "aivax"
