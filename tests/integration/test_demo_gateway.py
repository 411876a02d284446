"""The demo gateway with the real embedded model over this repository's documents: fact and citation."""

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.command_line import aivax

from aivax_cli.assets.store import default_cache_dir

REPOSITORY = Path(__file__).parents[2]
CACHE = {"AIVAX_CACHE_DIR": str(default_cache_dir(os.environ))}
DOWNLOADS_S = 900
"""The model is fetched once, half a gigabyte, where the cache does not hold it."""


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    root = tmp_path_factory.mktemp("demo")
    for folder in ("docs", "gateways", "collections"):
        shutil.copytree(REPOSITORY / folder, root / folder)
    done = aivax("ingest", "docs", "-c", "kb", cwd=root, home=root, env=CACHE, timeout_s=DOWNLOADS_S)
    assert done.code == 0, done.err
    yield root


@pytest.mark.timeout(DOWNLOADS_S)
@pytest.mark.parametrize(
    ("question", "fact"),
    [
        ("Which search strategy is the default?", "Plain"),
        ("How many tokens does a chunk hold at most?", "256"),
        ("Quantos tokens um chunk tem no máximo?", "256"),
    ],
)
def test_the_demo_gateway_answers_from_its_documents_and_cites_them(
    demo: Path, question: str, fact: str
) -> None:
    done = aivax(
        "complete", "demo", question, "--json", cwd=demo, home=demo, env=CACHE, timeout_s=DOWNLOADS_S
    )
    assert done.code == 0, done.err
    assert fact in done.json["text"]
    cited = re.findall(r"\[(\d)\]", done.json["text"])
    assert cited, done.json["text"]
    assert all(fact in done.json["sources"][int(number) - 1]["text"] for number in cited)
    assert done.json["total_usd"] == 0
