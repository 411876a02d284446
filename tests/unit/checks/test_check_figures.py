"""The numbers of checks: measures of a ranking, distances, intervals, gates."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from aivax_cli.checks.assertions.text import edit_distance
from aivax_cli.checks.baseline import baseline_text, compare, read_baseline
from aivax_cli.checks.cases import Case, LocatedTest, Selection
from aivax_cli.checks.comparing import best, mcnemar, rows, wilson
from aivax_cli.checks.gating import exit_code, verdict
from aivax_cli.checks.results import Answer, CaseResult, Cell, Sample, Status
from aivax_cli.checks.retrieval import findings, ndcg, recall, reciprocal_rank
from aivax_cli.checks.running import status_of
from aivax_cli.cli.check_watch import matters
from aivax_cli.core.errors import UsageError
from aivax_cli.core.types import Passage, Source
from aivax_cli.gateway.check_file import CheckTest, Gate, Limits, Retrieve, RunSettings

FILE = Path("checks/a.yaml")


def passages(*documents: str) -> tuple[Passage, ...]:
    return tuple(
        Passage(str(rank), "text", Source("kb", name), 1 - rank / 10, rank)
        for rank, name in enumerate(documents, start=1)
    )


def sample(status: Status, *documents: str, usd: str | None = "0.01", latency_ms: float = 10) -> Sample:
    cost = None if usd is None else Decimal(usd)
    return Sample(status, (), Answer("?", passages=passages(*documents), usd=cost, latency_ms=latency_ms))


def result(name: str, *samples: Sample, cell: Cell = (), needed: int | None = None) -> CaseResult:
    most = len(samples) if needed is None else needed
    return CaseResult(name, cell, status_of(samples, most), samples, most, FILE, 1)


PASS, FAIL, ERROR = (sample(status) for status in (Status.PASS, Status.FAIL, Status.ERROR))


def test_measures_of_a_ranking() -> None:
    found = ["x.md", "docs/a.md", "b.md"]
    assert recall(["a.md", "c.md"], found) == 0.5
    assert reciprocal_rank(["a.md"], found) == 0.5
    assert reciprocal_rank(["c.md"], found) == 0.0
    assert ndcg(["x.md"], found) == 1.0
    assert ndcg(["a.md"], found) == pytest.approx(0.6309, abs=1e-4)


@pytest.mark.parametrize(
    ("wanted", "good", "bad"),
    [
        ({"must": ["a.md", "b.md"]}, ("b.md", "a.md"), ("a.md",)),
        ({"any": ["a.md", "b.md"]}, ("b.md",), ("c.md",)),
        ({"must_not": ["internal/*"]}, ("a.md",), ("internal/x.md",)),
        ({"first": "a.md"}, ("a.md", "b.md"), ("b.md", "a.md")),
        ({"must": ["a.md"], "k": 1}, ("a.md",), ("b.md", "a.md")),
        ({"any": ["a.md", "b.md"], "recall": 1.0}, ("a.md", "b.md"), ("a.md",)),
        ({"any": ["a.md"], "mrr": 0.5}, ("b.md", "a.md"), ("b.md", "c.md", "a.md")),
        ({"any": ["a.md"], "ndcg": 0.9}, ("a.md",), ("b.md", "a.md")),
        ({"none_above": 0.85}, ("x.md",)[:0], ("x.md",)),
    ],
)
def test_a_search_is_told_from_a_worse_one(
    wanted: dict[str, object], good: tuple[str, ...], bad: tuple[str, ...]
) -> None:
    asked = Retrieve.model_validate(wanted)
    assert all(found.holds for _, found in findings(asked, passages(*good)))
    failed = [found for _, found in findings(asked, passages(*bad)) if not found.holds]
    assert failed
    assert all(found.reason for found in failed)


@pytest.mark.parametrize(("a", "b", "distance"), [("", "", 0), ("kitten", "sitting", 3), ("abc", "", 3)])
def test_the_edit_distance(a: str, b: str, distance: int) -> None:
    assert edit_distance(a, b, 10) == distance


def test_the_edit_distance_stops_when_it_is_too_far() -> None:
    assert edit_distance("x" * 100_000, "y" * 100_000, 3) == 4


@pytest.mark.parametrize(
    ("samples", "needed", "status"),
    [
        ((PASS, PASS, FAIL), 2, Status.PASS),
        ((PASS, FAIL, FAIL), 2, Status.FAIL),
        ((PASS, ERROR, FAIL), 2, Status.ERROR),
        ((ERROR,), 1, Status.ERROR),
        ((PASS, ERROR), 1, Status.PASS),
    ],
)
def test_repeats_decide_each_test_by_itself(samples: tuple[Sample, ...], needed: int, status: Status) -> None:
    assert status_of(samples, needed) is status


def test_a_good_average_does_not_hide_a_failing_test() -> None:
    results = [result("a", PASS, PASS, PASS), result("b", FAIL, PASS, PASS)]
    assert not verdict(results, [(FILE, Gate())]).passed


def test_the_pass_rate_gate() -> None:
    results = [result("a", PASS), result("b", FAIL)]
    assert verdict(results, [(FILE, Gate(pass_rate=0.5))]).passed
    assert exit_code(results, verdict(results, [(FILE, Gate(pass_rate=0.5))])) == 0
    assert exit_code(results, verdict(results, [(FILE, Gate(pass_rate=0.6))])) == 3


def test_only_errors_have_an_exit_code_of_their_own() -> None:
    errors = [result("a", ERROR), result("b", PASS)]
    assert exit_code(errors, verdict(errors, [(FILE, Gate())])) == 1
    mixed = [result("a", ERROR), result("b", FAIL)]
    assert exit_code(mixed, verdict(mixed, [(FILE, Gate())])) == 3


def test_the_cost_of_a_run_is_gated_and_unknown_costs_are_not_free() -> None:
    gate = [(FILE, Gate(run_usd=Decimal("0.015")))]
    assert verdict([result("a", PASS)], gate).passed
    assert not verdict([result("a", PASS), result("b", PASS)], gate).passed
    assert not verdict([result("a", sample(Status.PASS, usd=None))], gate).passed


def test_a_baseline_tells_what_is_new(tmp_path: Path) -> None:
    file = tmp_path / "baseline.json"
    before = [result("a", sample(Status.PASS, "x.md", "y.md")), result("b", FAIL), result("c", PASS)]
    file.write_text(baseline_text(before))
    now = [
        result("a", sample(Status.FAIL, "y.md", usd="0.02")),
        result("b", PASS),
        result("c", PASS),
        result("d", FAIL),
    ]
    known = read_baseline(file)
    assert known is not None
    told = compare(now, known)
    assert told.new_failures == ("a/a", "a/d")
    assert told.fixed == ("a/b",)
    assert told.unknown == ("a/d",)
    assert [(change.kind, change.detail[:20]) for change in told.changes] == [
        ("rank", "x.md: was 1, is not "),
        ("cost", "+100%: was 0.01 USD,"),
    ]
    gate = [(FILE, Gate(max_new_failures=0))]
    assert verdict(now, gate, told).reasons == ("a.yaml: 2 new failures, at most 0 allowed",)


def test_blessing_a_part_keeps_the_rest(tmp_path: Path) -> None:
    file = tmp_path / "baseline.json"
    file.write_text(baseline_text([result("a", PASS), result("b", PASS)]))
    file.write_text(baseline_text([result("b", FAIL)], read_baseline(file)))
    known = read_baseline(file)
    assert known is not None
    assert {key: entry.status for key, entry in known.items()} == {"a/a": Status.PASS, "a/b": Status.FAIL}


def test_blessing_everything_forgets_tests_that_are_gone(tmp_path: Path) -> None:
    file = tmp_path / "baseline.json"
    file.write_text(baseline_text([result("a", PASS), result("b", PASS)]))
    file.write_text(baseline_text([result("b", ERROR)], read_baseline(file), whole=True))
    known = read_baseline(file)
    assert known is not None
    assert {key: entry.status for key, entry in known.items()} == {"a/b": Status.PASS}


def test_a_broken_baseline_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "baseline.json").write_text("{")
    with pytest.raises(UsageError, match="cannot be read as a baseline"):
        read_baseline(tmp_path / "baseline.json")


def test_an_interval_narrows_with_the_number_of_tests() -> None:
    low, high = wilson(9, 10)
    assert low == pytest.approx(0.596, abs=1e-3)
    assert high == pytest.approx(0.982, abs=1e-3)
    assert wilson(90, 100)[0] > low


def test_mcnemar_is_exact() -> None:
    assert mcnemar(0, 0) == 1.0
    assert mcnemar(0, 6) == pytest.approx(2 / 64)
    assert mcnemar(5, 5) == 1.0


def many(cell: Cell, passed: int, usd: str) -> list[CaseResult]:
    return [
        result(f"t{n}", sample(Status.PASS if n < passed else Status.FAIL, usd=usd), cell=cell)
        for n in range(20)
    ]


def cases_of(results: list[CaseResult]) -> list[Case]:
    test = LocatedTest(CheckTest.model_validate({"id": "x", "input": "?", "expect": [{"contains": "x"}]}), 1)
    renamed = {each.id: LocatedTest(test.test.model_copy(update={"id": each.id}), 1) for each in results}
    return [Case(renamed[each.id], each.cell, FILE, RunSettings(), Limits(), "g") for each in results]


def test_the_best_is_the_cheapest_that_is_not_significantly_worse() -> None:
    cheap, middle, dear = ((("strategy", name),) for name in ("Plain", "UserRewrite", "FullRewrite"))
    results = [*many(cheap, 8, "0.001"), *many(middle, 18, "0.002"), *many(dear, 20, "0.01")]
    table = rows(results, cases_of(results))
    chosen = best(results, table)
    assert chosen is not None
    assert chosen.cell == middle
    assert [row.passed for row in table] == [8, 18, 20]


def test_shards_share_the_tests_out() -> None:
    results = [result(f"t{n}", PASS) for n in range(50)]
    cases = cases_of(results)
    parts = [[case.name for case in Selection(shard=(i, 3)).of(cases)] for i in (1, 2, 3)]
    assert sorted(name for part in parts for name in part) == sorted(case.name for case in cases)
    assert sorted(map(len, parts)) == [16, 17, 17]


def test_a_cell_with_errors_is_not_the_best() -> None:
    cheap = [*many((("model", "cheap"),), 20, "0.001")[:-1], result("t19", ERROR, cell=(("model", "cheap"),))]
    dear = many((("model", "dear"),), 20, "0.05")
    results = [*cheap, *dear]
    chosen = best(results, rows(results, cases_of(results)))
    assert chosen is not None
    assert dict(chosen.cell) == {"model": "dear"}


@pytest.mark.parametrize(
    ("path", "changes"),
    [
        ("checks/a.yaml", True),
        ("checks/custom.py", True),
        ("gateways/prompt.md", True),
        ("checks/cassettes/a/1.json", False),
        ("checks/report.html", False),
        ("checks/report.md", False),
        ("checks/.checks.schema.json", False),
    ],
)
def test_what_a_run_writes_starts_no_other_run(path: str, changes: bool) -> None:
    assert matters(Path(path), {Path("checks/report.md").resolve()}) is changes
