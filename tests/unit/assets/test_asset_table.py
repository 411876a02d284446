"""The table of assets agrees with itself."""

import re
from hashlib import sha1

import pytest

from aivax_cli.assets.table import (
    ASSETS,
    DEFAULT_ASSETS,
    TIKTOKEN_FOLDER,
    Asset,
    Url,
    WheelMember,
    WheelParts,
)


@pytest.mark.parametrize("asset", ASSETS.values(), ids=lambda asset: asset.name)
def test_members_are_of_the_assets_size(asset: Asset) -> None:
    for source in asset.sources:
        if isinstance(source, WheelMember):
            assert source.size_bytes == asset.size_bytes
        elif isinstance(source, WheelParts):
            assert sum(part.size_bytes for part in source.parts) == asset.size_bytes


@pytest.mark.parametrize("asset", ASSETS.values(), ids=lambda asset: asset.name)
def test_every_asset_is_known_by_hash_and_licence(asset: Asset) -> None:
    assert re.fullmatch("[0-9a-f]{64}", asset.sha256)
    assert asset.licence
    assert asset.sources


def test_tokenizer_tables_lie_where_tiktoken_looks() -> None:
    for name in ("cl100k_base", "o200k_base"):
        url = next(source.url for source in ASSETS[name].sources if isinstance(source, Url))
        assert ASSETS[name].file_name == f"{TIKTOKEN_FOLDER}/{sha1(url.encode()).hexdigest()}"


def test_defaults_are_in_the_table() -> None:
    assert set(DEFAULT_ASSETS) <= set(ASSETS)
