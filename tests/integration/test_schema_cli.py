"""`aivax schema`, and the generated files that are kept in the repository."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from support.in_process import aivax_here

from aivax_cli.gateway.reference import renewed
from aivax_cli.gateway.schema import editor_schema, schema_text
from aivax_cli.gateway.workspace import Workspace

REPOSITORY = Path(__file__).parents[2]
REFERENCE = REPOSITORY / "docs" / "gateways.md"


@pytest.mark.parametrize("kind", ["gateway", "collection", "workspace"])
def test_a_schema_is_printed_as_json(tmp_path: Path, kind: str) -> None:
    done = aivax_here("schema", kind, cwd=tmp_path)
    assert done.code == 0
    assert json.loads(done.out) == editor_schema(kind)


def test_an_unknown_kind_is_an_error_with_the_nearest(tmp_path: Path) -> None:
    done = aivax_here("schema", "gatway", cwd=tmp_path)
    assert (done.code, done.out) == (2, "")
    assert done.err == "error: no schema named 'gatway'; did you mean 'gateway'?\n"


def test_the_repositorys_own_workspace_is_sound() -> None:
    workspace = Workspace(REPOSITORY)
    assert len(workspace.gateway_files()) >= 4
    assert workspace.validate_all() == []


@pytest.mark.parametrize(
    ("folder", "kind"), [("gateways", "gateway"), ("collections", "collection"), ("checks", "checks")]
)
def test_the_repositorys_schemas_are_current(folder: str, kind: str) -> None:
    kept = REPOSITORY / folder / f".{kind}.schema.json"
    assert kept.read_text(encoding="utf-8") == schema_text(kind), "renew it: aivax init"


def test_the_gateway_reference_is_current() -> None:
    page = REFERENCE.read_text(encoding="utf-8")
    assert page == renewed(page), "renew it: python -m aivax_cli.gateway.reference docs/gateways.md"
    assert "| `knowledge.min_score` | number, 0 to 0.99 | `0.2` |" in page


def test_the_gateways_in_the_reference_are_sound(tmp_path: Path) -> None:
    blocks = re.findall(r"```yaml\n(.*?)```", REFERENCE.read_text(encoding="utf-8"), re.DOTALL)
    gateways = [block for block in blocks if "\nid: " in f"\n{block}"]
    assert len(gateways) == 2
    (tmp_path / "gateways").mkdir()
    for number, block in enumerate(gateways):
        (tmp_path / "gateways" / f"g{number}.yaml").write_text(block)
    settings = [block for block in blocks if block.startswith("providers:")]
    (tmp_path / "aivax.yaml").write_text(settings[0])
    assert Workspace(tmp_path).validate_all() == []
