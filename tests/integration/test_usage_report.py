"""`aivax usage` with its groupings, filters and forms, over a ledger with real charges."""

import csv
import io
import re
import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from decimal import Decimal
from xml.etree import ElementTree

import pytest
from support.command_line import aivax
from support.in_process import aivax_here
from support.virtual_terminal import VirtualTerminal

from aivax_cli.cli.usage_times import parse_until
from aivax_cli.core.errors import UsageError
from aivax_cli.core.types import Charge
from aivax_cli.render.usage_view import UsageLine, UsageTable
from aivax_cli.server.keys import KEYS_FILE, KeyFile
from aivax_cli.usage.ledger import SqliteLedger
from aivax_cli.usage.ledger_file import LedgerFile
from aivax_cli.usage.report import usage_report
from aivax_cli.usage.sums import Selection

IN, OUT = "inference.chat_completions.in", "inference.chat_completions.out"
CHARGES = (
    # moment, turn, gateway, model, SKU, tokens, price
    ("2026-04-30T23:59", "t1", "docs", "@openai/gpt-5", IN, 1000, "0.00000125"),
    ("2026-05-01T00:01", "t1", "docs", "@openai/gpt-5", OUT, 100, "0.00001"),
    ("2026-05-04T10:00", "t2", "support", "@openai/gpt-5-mini", IN, 4000, "0.00000025"),
    ("2026-05-10T10:00", "t3", "support", "@inline/llama", IN, 500, None),
    ("2026-05-11T10:00", "t4", "", "@openai/embed", "rag.embedding.index", 8000, "0.00000002"),
)
METADATA = {"t1": {"team": "red"}, "t2": {"team": "<b>blue"}, "t3": {"team": "=cmd()"}}


@pytest.fixture
def path(tmp_path):
    (tmp_path / "gateways").mkdir()
    path = tmp_path / ".aivax" / "ledger.db"
    moments = iter([datetime.fromisoformat(row[0]).replace(tzinfo=UTC) for row in CHARGES])
    with SqliteLedger(path, now=lambda: next(moments)) as ledger:
        for _, turn, gateway, model, sku, tokens, price in CHARGES:
            line = Charge(sku, tokens, None if price is None else Decimal(price), "d")
            ledger.record([line], turn_id=turn, gateway=gateway, model=model)
        for turn, said in METADATA.items():
            ledger.note(turn, said)
    return path


@pytest.fixture
def run(path, tmp_path):
    return lambda *arguments: aivax_here("usage", *arguments, cwd=tmp_path)


def rows(done):
    return [(row["key"], row["turns"], row["priced_usd_exact"]) for row in done.json["rows"]]


def drawn(path, by, columns, *, selection=Selection(), rows=60):  # noqa: B008
    """The lines that a terminal of so many columns shows."""
    file = LedgerFile(path)
    report = usage_report(file, by, selection, now=datetime(2026, 6, 1, tzinfo=UTC))
    file.close()
    terminal = VirtualTerminal(columns, rows)
    console = terminal.console(no_color=True)
    console.print(UsageTable(report, names={}, drawn=True))
    console.print(UsageLine(report))
    return terminal.lines()


def test_weeks_begin_on_monday(run):
    assert rows(run("--by", "week", "--json")) == [
        ("2026-04-27", 1, "0.00225"),
        ("2026-05-04", 2, "0.001"),
        ("2026-05-11", 1, "0.00016"),
    ]


def test_a_turn_over_midnight_counts_on_the_day_it_began_and_its_charges_where_they_are(run):
    found = run("--by", "month", "--json")

    assert rows(found) == [("2026-04", 1, "0.00125"), ("2026-05", 3, "0.00216")]
    assert found.json["total"]["turns"] == 4


def test_what_was_said_of_turns_groups_them(run):
    assert rows(run("--by", "metadata:team", "--json")) == [
        ("red", 1, "0.00225"),
        ("<b>blue", 1, "0.001"),
        ("", 1, "0.00016"),
        ("=cmd()", 1, "0"),
    ]


def test_a_name_that_nobody_said_lists_those_that_were(run):
    assert "names: team" in run("--by", "metadata:tam").err


def test_keys_are_shown_with_their_names(run, path):
    keys = KeyFile(path.parent / KEYS_FILE)
    key, _ = keys.new("Ana's laptop")
    keys.close()
    with SqliteLedger(path) as ledger:
        ledger.note("t2", {"aivax.key": key.id})
    found = run("--by", "key", "--json").json["rows"]

    assert [(row["key"], row.get("name"), row["turns"]) for row in found] == [
        ("", None, 3),
        (key.id, "Ana's laptop", 1),
    ]
    assert f"Ana's laptop ({key.id})" in run("--by", "key").out


def test_a_ledger_without_metadata_has_nobodys_keys(run, path):
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("DROP TABLE turn_metadata")

    assert rows(run("--by", "key", "--json")) == [("", 4, "0.00341")]
    assert run("--metadata", "team=red", "--json").json["total"]["turns"] == 0


def test_a_ledger_from_before_the_indexes_has_the_same_sums(run, path):
    before = [rows(run("--by", by, "--json")) for by in ("day", "sku", "metadata:team")]
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("DROP INDEX charges_day")
        connection.execute("DROP INDEX charges_turn")

    assert [rows(run("--by", by, "--json")) for by in ("day", "sku", "metadata:team")] == before


@pytest.mark.parametrize(
    ("filters", "turns"),
    [
        (["--gateway", "docs"], 1),
        (["--gateway", "docs", "--gateway", "support"], 3),
        (["--model", "@openai/*"], 3),
        (["--model", "@openai/gpt-5"], 1),
        (["--sku", "rag.*"], 1),
        (["--sku", IN, "--gateway", "support"], 2),
        (["--model", "@openai/gpt-?"], 0),
        (["--since", "2026-05", "--until", "2026-05"], 4),
        (["--until", "2026-05-04"], 2),
        (["--until", "2026-04"], 1),
        (["--metadata", "team=red", "--since", "2026-05-01"], 1),
    ],
)
def test_filters_leave_out_the_rest(filters, turns, run):
    assert run(*filters, "--json").json["total"]["turns"] == turns


def test_more_values_than_flags_are_counted_as_well(tmp_path):
    with SqliteLedger(tmp_path / "ledger.db") as ledger:
        for number in range(50):
            for turn in ("a", "b"):
                line = Charge(IN, 1, Decimal(1), "d")
                ledger.record([line], turn_id=turn, gateway="g", model=f"@x/{number:02}")

        assert [row.turns for row in ledger.summarise("model")] == [2] * 50


def test_sums_keep_every_digit_of_a_huge_and_a_tiny_amount(path, run):
    with SqliteLedger(path) as ledger:
        for price in ("12345678901234567890", "0.000000000000000000001"):
            ledger.record([Charge("x", 1, Decimal(price), "d")], turn_id="t", gateway="g", model="@x/y")

    assert rows(run("--sku", "x", "--by", "sku", "--json")) == [
        ("x", 1, "12345678901234567890.000000000000000000001")
    ]


@pytest.mark.parametrize("text", ["soon", "2026-13", "2026-02-30"])
def test_an_until_that_is_no_time_is_refused(text):
    with pytest.raises(UsageError, match=r"--until: .* is no time"):
        parse_until(text, now=datetime(2026, 5, 4, tzinfo=UTC))


@pytest.mark.parametrize(
    ("by", "said"),
    [("modle", "did you mean 'model'"), ("metadata", "the name is missing"), ("x", "choose one")],
)
def test_what_nothing_is_grouped_by_is_refused_with_a_fix(by, said, run):
    done = run("--by", by)

    assert done.code == 2
    assert said in done.err


def test_csv_is_exact_and_gives_spreadsheets_no_formulas(run):
    done = run("--by", "metadata:team", "--csv")
    table = list(csv.DictReader(io.StringIO(done.out)))

    assert [(row["metadata:team"], row["priced_usd"], row["unpriced_tokens"]) for row in table] == [
        ("red", "0.00225", "0"),
        ("<b>blue", "0.001", "0"),
        ("", "0.00016", "0"),
        ("'=cmd()", "0", "500"),
    ]


def test_csv_and_json_at_once_are_refused(run):
    assert run("--csv", "--json").code == 2


def test_the_page_needs_nothing_else_and_runs_nothing(run, tmp_path):
    assert run("--html", "usage.html", "--by", "metadata:team").code == 0
    page = (tmp_path / "usage.html").read_text(encoding="utf-8")

    assert re.search(r"<script|src=|href=|@import|url\(", page) is None
    assert "&lt;b&gt;blue" in page
    assert "<b>blue" not in page
    body = page.removeprefix("<!doctype html>\n").replace('<meta charset="utf-8">', "")
    body = re.sub(r"<meta [^>]*>", "", body)
    sections = [heading.text for heading in ElementTree.fromstring(body).iter("h2")]
    assert sections == ["Cost by day", "By gateway", "By model", "By SKU", "By team"]


def test_the_page_tells_what_is_unpriced_apart(run, tmp_path):
    run("--html", "usage.html")
    page = (tmp_path / "usage.html").read_text(encoding="utf-8")

    assert "500 tokens<small>of 1 turn, in no cost" in page


def test_a_page_that_cannot_be_written_is_one_line(run):
    done = run("--html", "no/such/folder/usage.html")

    assert (done.code, done.err.count("\n")) == (2, 1)


def test_an_empty_ledger_gives_a_page_that_says_so(tmp_path):
    (tmp_path / "gateways").mkdir()

    assert aivax_here("usage", "--html", "usage.html", cwd=tmp_path).code == 0
    assert "nothing was used" in (tmp_path / "usage.html").read_text(encoding="utf-8")


def test_a_wide_terminal_draws_bars_and_the_course(path):
    lines = drawn(path, "day", 100)

    assert lines[0].split() == ["day", "(UTC)", "turns", "tokens", "cost", "unpriced", "tokens"]
    assert re.fullmatch(r"2026-04-30 +1 +1,000 +\$0\.00125 +█+", lines[2])
    assert lines[-2] == "2026-04-30 █▇  ▇      ▂ 2026-05-11"
    assert lines[-1] == "by day, most on 2026-04-30: $0.00125"


@pytest.mark.parametrize("by", ["day", "month", "model", "sku", "metadata:team"])
def test_a_terminal_of_40_columns_keeps_every_key_and_cost_whole(by, path):
    lines = drawn(path, by, 40)
    table = lines[2 : next(number for number, line in enumerate(lines) if line.startswith("total"))]
    cells = [re.split(r"  +", line) for line in table if line]

    file = LedgerFile(path)
    keys = [row.key for row in usage_report(file, by, Selection()).rows]
    file.close()
    assert [row[0].removesuffix(" …") for row in cells] == [key or "(not said)" for key in keys]
    assert all(any(re.fullmatch(r"\$\d\.\d+|unpriced", cell) for cell in row) for row in cells)


def test_groups_have_their_course_beside_them_where_there_is_room(path):
    lines = drawn(path, "gateway", 120)

    assert "over time" in lines[0]
    assert any(line.startswith("docs") and "█" in line for line in lines)


def test_a_period_that_is_cut_or_not_over_is_marked(run):
    done = run("--since", "2026-05-04T12:00", "--by", "week")

    assert "2026-05-04 …" in done.out
    assert "a part of that week only: 2026-05-04" in done.err


def test_a_pipe_gets_no_drawings_and_no_colours(path, tmp_path):
    done = aivax("usage", "--by", "model", cwd=tmp_path, home=tmp_path, env={"COLUMNS": "100"})

    assert re.search(r"[█▏▎▍▌▋▊▉▁▂▃\x1b]", done.out) is None
    assert "unpriced and in no cost: 500 tokens of 1 turn\n" in done.err
