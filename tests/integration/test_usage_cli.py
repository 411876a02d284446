"""`aivax usage` as users run it."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from support.command_line import aivax

from aivax_cli.cli.usage_times import parse_since
from aivax_cli.core.errors import UsageError
from aivax_cli.core.types import Charge
from aivax_cli.usage.ledger import SqliteLedger

NOW = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)


@pytest.fixture
def workspace(tmp_path):
    folder = tmp_path / "workspace"
    (folder / "gateways").mkdir(parents=True)
    return folder


@pytest.fixture
def run(workspace, tmp_path):
    return lambda *arguments: aivax("usage", *arguments, cwd=workspace, home=tmp_path)


def fill(workspace):
    moments = iter([NOW, NOW + timedelta(days=1), datetime.now(UTC)])
    with SqliteLedger(workspace / ".aivax" / "ledger.db", now=lambda: next(moments)) as ledger:
        for turn, gateway, model, unit in (
            ("t1", "docs", "@openai/gpt-5-mini", Decimal("0.00000025")),
            ("t2", "docs", "@inline/llama", None),
            ("t3", "support", "@openai/gpt-5-mini", Decimal("0.000002")),
        ):
            line = Charge("inference.chat_completions.in", 1000, unit, "d", estimated=turn == "t3")
            ledger.record([line], turn_id=turn, gateway=gateway, model=model)


def test_a_workspace_without_charges_says_so_and_makes_no_ledger(run, workspace):
    done = run()

    assert (done.code, done.out) == (0, "")
    assert "Nothing was used" in done.err
    assert not (workspace / ".aivax").exists()


def test_a_workspace_without_charges_is_empty_json(run):
    done = run("--json")

    assert done.code == 0
    assert done.json["rows"] == []
    assert done.json["total"]["total_usd"] == 0


def test_the_table_has_days_costs_and_unpriced_tokens_apart(run, workspace):
    fill(workspace)
    done = run()

    assert done.code == 0
    lines = [line.split() for line in done.out.splitlines() if line.strip()]
    assert ["2026-05-04", "1", "1,000", "$0.00025"] in lines
    assert ["2026-05-05", "1", "1,000", "unpriced", "1,000"] in lines
    assert ["total", "3", "3,000", "~$0.00225", "1,000"] in lines
    assert "1,000 of the tokens are estimates" in done.err


def test_models_come_the_dearest_first(run, workspace):
    fill(workspace)
    rows = run("--by", "model", "--json").json["rows"]

    assert [row["key"] for row in rows] == ["@openai/gpt-5-mini", "@inline/llama"]


def test_json_has_no_total_while_a_part_is_unpriced(run, workspace):
    fill(workspace)
    value = run("--by", "gateway", "--json").json

    docs = next(row for row in value["rows"] if row["key"] == "docs")
    assert docs == {
        "key": "docs",
        "turns": 2,
        "tokens": 2000,
        "priced_usd": 0.00025,
        "priced_usd_exact": "0.00025",
        "total_usd": None,
        "unpriced_tokens": 1000,
        "estimated_tokens": 0,
        "estimated_usd": 0,
    }
    support = next(row for row in value["rows"] if row["key"] == "support")
    assert support["total_usd"] == 0.002
    assert value["total"]["total_usd"] is None


@pytest.mark.parametrize(("since", "turns"), [("2026-05-05", 2), ("1d", 1), ("2026-05-05T12:00:01Z", 1)])
def test_since_leaves_out_what_was_before(since, turns, run, workspace):
    fill(workspace)

    assert run("--since", since, "--json").json["total"]["turns"] == turns


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("7d", NOW - timedelta(days=7)),
        ("24h", NOW - timedelta(hours=24)),
        ("2W", NOW - timedelta(weeks=2)),
        ("2026-01-31", datetime(2026, 1, 31, tzinfo=UTC)),
        ("2026-01-31T10:00:00-03:00", datetime(2026, 1, 31, 13, tzinfo=UTC)),
    ],
)
def test_since_is_read_as_a_span_or_a_date(text, moment):
    assert parse_since(text, now=NOW) == moment


@pytest.mark.parametrize("text", ["", "7x", "d", "31/01/2026", "-3d", "99999999d"])
def test_a_since_that_is_no_time_is_refused(text):
    with pytest.raises(UsageError, match="is no time"):
        parse_since(text, now=NOW)


def test_a_wrong_since_exits_with_2_and_one_line(run):
    done = run("--since", "yesterday-ish")

    assert done.code == 2
    assert done.err == (
        "error: --since: 'yesterday-ish' is no time; write 7d, 24h, 2w or a date like 2026-01-31\n"
    )


def test_a_damaged_ledger_is_one_line_with_its_fix(run, workspace):
    (workspace / ".aivax").mkdir()
    (workspace / ".aivax" / "ledger.db").write_text("this is not a database at all " * 50)
    done = run()

    assert done.code == 1
    assert done.err.count("\n") == 1
    assert "the ledger is damaged" in done.err
    assert "move the file away" in done.err


def test_outside_of_a_workspace_it_says_how_to_make_one(tmp_path):
    done = aivax("usage", cwd=tmp_path, home=tmp_path)

    assert done.code == 2
    assert "aivax init" in done.err
