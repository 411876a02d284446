"""GGUF files that `aivax models pull NAME` knows by name, beside the default ones of the asset table.

Each is an official or widely used 4-bit (Q4_K_M) build of an instruction-tuned model under Apache-2.0,
at one revision of its repository on the model hub. Its SHA-256 and size are the hub's own for that
file; a download that differs is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from aivax_cli.assets.table import Asset, Url

_HUB: Final = "https://huggingface.co"


def _hub_file(name: str, repository: str, revision: str, file: str, *, size_bytes: int, sha256: str) -> Asset:
    url = f"{_HUB}/{repository}/resolve/{revision}/{file}"
    return Asset(name, file.lower(), size_bytes, sha256, "Apache-2.0", (Url(url),))


_FILES: Final = (
    _hub_file(
        "qwen2.5-1.5b",
        "Qwen/Qwen2.5-1.5B-Instruct-GGUF",
        "91cad51170dc346986eccefdc2dd33a9da36ead9",
        "qwen2.5-1.5b-instruct-q4_k_m.gguf",
        size_bytes=1_117_320_736,
        sha256="6a1a2eb6d15622bf3c96857206351ba97e1af16c30d7a74ee38970e434e9407e",
    ),
    _hub_file(
        "qwen2.5-coder-1.5b",
        "Qwen/Qwen2.5-Coder-1.5B-Instruct-GGUF",
        "f86cb2c1fa58255f8052cc32aeede1b7482d4361",
        "qwen2.5-coder-1.5b-instruct-q4_k_m.gguf",
        size_bytes=1_117_320_768,
        sha256="cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046",
    ),
    _hub_file(
        "qwen2.5-coder-7b",
        "Qwen/Qwen2.5-Coder-7B-Instruct-GGUF",
        "13fb94bfda8c8cf22497dc57b78f391a9acb426a",
        "qwen2.5-coder-7b-instruct-q4_k_m.gguf",
        size_bytes=4_683_073_536,
        sha256="509287f78cb4d4cf6b3843734733b914b2c158e43e22a7f4bf5e963800894d3c",
    ),
    _hub_file(
        "qwen3-4b-instruct",
        "unsloth/Qwen3-4B-Instruct-2507-GGUF",
        "a06e946bb6b655725eafa393f4a9745d460374c9",
        "Qwen3-4B-Instruct-2507-Q4_K_M.gguf",
        size_bytes=2_497_281_120,
        sha256="3605803b982cb64aead44f6c1b2ae36e3acdb41d8e46c8a94c6533bc4c67e597",
    ),
    _hub_file(
        "smollm2-1.7b",
        "HuggingFaceTB/SmolLM2-1.7B-Instruct-GGUF",
        "6a7e79393ef2957e087f11fce1e50476799e313c",
        "smollm2-1.7b-instruct-q4_k_m.gguf",
        size_bytes=1_055_609_536,
        sha256="decd2598bc2c8ed08c19adc3c8fdd461ee19ed5708679d1c54ef54a5a30d4f33",
    ),
)

KNOWN_MODELS: Final[Mapping[str, Asset]] = MappingProxyType({asset.name: asset for asset in _FILES})
