"""What docs/tools.md shows, done: its endpoint behind the example gateway."""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.in_process import aivax_here
from support.patience import until
from support.ports import free_port, is_listening
from support.upstream import Upstream, calls_tool, says

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "tools.md").read_text(encoding="utf-8")


@pytest.fixture
def orders(tmp_path: Path) -> Iterator[str]:
    """The page's endpoint, run as the page says; its address."""
    (program,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    (tmp_path / "orders.py").write_text(program, encoding="utf-8")
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "orders.py", str(port)], cwd=tmp_path, stderr=subprocess.DEVNULL
    )
    try:
        until(lambda: is_listening(port))
        yield f"http://127.0.0.1:{port}/orders"
    finally:
        process.kill()
        process.wait()


def workspace(root: Path, model: str, orders: str) -> None:
    """The example gateway, with this model and this endpoint in the place of its own."""
    (root / "gateways").mkdir()
    text = (ROOT / "gateways" / "tools.yaml").read_text(encoding="utf-8")
    text = text.replace('"@openai/gpt-5-mini"', f"{{base_url: '{model}', name: m}}")
    (root / "gateways" / "tools.yaml").write_text(text.replace("http://127.0.0.1:8090/orders", orders))


def test_the_listing_is_the_pages(tmp_path: Path) -> None:
    (root := tmp_path / "ws").mkdir()
    (root / "gateways").mkdir()
    shutil.copy(ROOT / "gateways" / "tools.yaml", root / "gateways")
    (shown,) = re.findall(r"\$ aivax tools tools\n(.*?)```", PAGE, re.DOTALL)
    listed = aivax_here("tools", "tools", cwd=root).out
    assert [line.rstrip() for line in listed.splitlines()] == shown.splitlines()


def test_the_pages_endpoint_answers_the_example_gateway(tmp_path: Path, orders: str) -> None:
    calls = (calls_tool("view_order", {"number": 7}), calls_tool("cancel_order", {"number": 7}))
    with Upstream(*calls, calls_tool("view_order", {"number": 7}), says("It is cancelled.")) as model:
        workspace(tmp_path, model.url, orders)
        done = aivax_here("complete", "tools", "Cancel order 7", "--approve-tools", "--json", cwd=tmp_path)
    assert [run["result"] for run in done.json["runned_functions"]] == [
        "Order 7 is on its way, arrives on Friday.",
        "Order 7 was cancelled.",
        "Order 7 is cancelled.",
    ]
