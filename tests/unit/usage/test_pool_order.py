"""Which model of a pool comes first: price, then speed of late; failures are kept away, the rest explored."""

from decimal import Decimal

import pytest

from aivax_cli.core.types import ModelTarget, Prices, Trial
from aivax_cli.usage import pool
from aivax_cli.usage.pool import Candidate, KeptTrial, arranged, standing

NOW = 1_000_000.0
HOUR = 3600.0


def candidate(name: str, usd_per_mtok: str | None = "1", *trials: KeptTrial) -> Candidate:
    target = ModelTarget(label=name, provider="test", name=name, base_url="http://127.0.0.1/v1")
    unit = None if usd_per_mtok is None else Decimal(usd_per_mtok).scaleb(-6)
    prices = None if unit is None else Prices(unit, unit)
    return Candidate(target, prices, standing(trials, NOW))


def took(seconds: float, *, ago: float = 60.0) -> KeptTrial:
    return KeptTrial(NOW - ago, Trial(seconds))


def failed(*, ago: float, benched: bool = True, wait_s: float | None = None) -> KeptTrial:
    return KeptTrial(NOW - ago, Trial(0.1, "HTTP 503", benched=benched, wait_s=wait_s))


def names(candidates: list[Candidate], margin: float = 0.1, chance: float = 1.0) -> list[str]:
    return [each.target.label for each in arranged(candidates, margin, chance)]


def test_the_cheapest_comes_first_however_slow_it_is() -> None:
    assert names([candidate("quick", "2", took(0.1)), candidate("cheap", "1", took(9))]) == ["cheap", "quick"]


def test_free_models_come_before_priced_ones_and_unpriced_ones_last() -> None:
    three = [candidate("unknown", None), candidate("paid", "0.01"), candidate("free", "0")]
    assert names(three) == ["free", "paid", "unknown"]


def test_prices_are_compared_by_what_a_rewriting_costs() -> None:
    # 300 tokens in, 30 out: 300·0.1 + 30·10 against 300·0.5 + 30·0.5, in millionths of a USD.
    writes_dear = candidate("a")
    writes_dear = Candidate(writes_dear.target, Prices(Decimal("1e-7"), Decimal("1e-5")))
    reads_dear = Candidate(candidate("b").target, Prices(Decimal("5e-7"), Decimal("5e-7")))
    assert writes_dear.rewrite_usd == Decimal("0.00033")
    assert reads_dear.rewrite_usd == Decimal("0.000165")
    assert names([writes_dear, reads_dear]) == ["b", "a"]


def test_within_the_margin_the_quickest_comes_first() -> None:
    two = [candidate("cheap", "1", took(2.0)), candidate("quick", "1.1", took(1.0))]
    assert names(two, margin=0.1) == ["quick", "cheap"]
    assert names(two, margin=0.09) == ["cheap", "quick"]


def test_the_margin_is_that_of_the_cheapest_and_does_not_creep() -> None:
    offers = (("a", "1", 3.0), ("b", "1.1", 2.0), ("c", "1.2", 1.0))
    three = [candidate(name, price, took(seconds)) for name, price, seconds in offers]
    assert names(three) == ["b", "a", "c"]


def test_a_margin_of_nothing_still_holds_equal_prices_together() -> None:
    assert names([candidate("a", "1", took(2)), candidate("b", "1", took(1))], margin=0) == ["b", "a"]


def test_what_has_never_been_tried_is_tried_first_among_equals() -> None:
    assert names([candidate("known", "1", took(0.1)), candidate("new", "1")]) == ["new", "known"]


def test_without_any_trial_the_order_of_the_file_stands() -> None:
    assert names([candidate("b"), candidate("a"), candidate("c")]) == ["b", "a", "c"]


def test_now_and_then_the_equal_that_was_tried_longest_ago_is_explored() -> None:
    three = [
        candidate("quick", "1", took(1, ago=10)),
        candidate("slow", "1", took(5, ago=900)),
        candidate("slower", "1", took(6, ago=60)),
    ]
    assert names(three, chance=pool.EXPLORED - 0.001) == ["slow", "quick", "slower"]
    assert names(three, chance=pool.EXPLORED) == ["quick", "slow", "slower"]


def test_a_dearer_model_is_not_explored() -> None:
    two = [candidate("cheap", "1", took(5)), candidate("dear", "2", took(1))]
    assert names(two, chance=0.0) == ["cheap", "dear"]


def test_a_failing_model_comes_last_until_its_time_is_over() -> None:
    assert names([candidate("a", "1", failed(ago=29)), candidate("b", "2")]) == ["b", "a"]
    assert names([candidate("a", "1", failed(ago=31)), candidate("b", "2")]) == ["a", "b"]


def test_when_all_are_benched_the_one_that_is_free_soonest_comes_first() -> None:
    assert names([candidate("a", "1", failed(ago=5)), candidate("b", "2", failed(ago=20))]) == ["b", "a"]


@pytest.mark.parametrize(("failures", "bench_s"), [(1, 30), (2, 60), (3, 120), (6, 900), (20, 900)])
def test_every_failure_in_a_row_doubles_the_bench_up_to_its_limit(failures: int, bench_s: float) -> None:
    trials = [failed(ago=10 + failures - number) for number in range(failures)]
    assert standing(trials, NOW).benched_until == trials[-1].at + bench_s


def test_an_answer_ends_the_row_of_failures() -> None:
    trials = [failed(ago=40), failed(ago=30), took(1, ago=20), failed(ago=10)]
    assert standing(trials, NOW).benched_until == NOW - 10 + 30
    assert standing([*trials, took(1, ago=5)], NOW).benched_until is None


def test_a_refused_content_benches_nobody_and_does_not_end_the_row() -> None:
    assert standing([failed(ago=1, benched=False)], NOW).benched_until is None
    trials = [failed(ago=20), failed(ago=15, benched=False), failed(ago=10)]
    assert standing(trials, NOW).benched_until == NOW - 10 + 60


def test_the_wait_that_an_endpoint_asks_for_is_kept_within_an_hour() -> None:
    assert standing([failed(ago=10, wait_s=300)], NOW).benched_until == NOW - 10 + 300
    assert standing([failed(ago=10, wait_s=1e9)], NOW).benched_until == NOW - 10 + 3600


def test_the_median_is_that_of_the_newest_trials() -> None:
    old = [took(9, ago=100)] * 30
    new = [took(1, ago=50)] * pool.MOST_TRIALS
    found = standing([*old, *new], NOW)
    assert (found.median_s, found.samples) == (1, pool.MOST_TRIALS)


def test_a_single_slow_answer_does_not_move_the_median() -> None:
    assert standing([took(1), took(1.2), took(30)], NOW).median_s == 1.2
    assert standing([took(1), took(2)], NOW).median_s == 1.5


def test_an_old_trial_weighs_less() -> None:
    trials = [took(9, ago=4 * pool.HALF_LIFE_S), took(9, ago=4 * pool.HALF_LIFE_S), took(1, ago=0)]
    assert standing(trials, NOW).median_s == 1


def test_after_a_day_a_model_is_as_if_untried() -> None:
    assert standing([took(1, ago=24 * HOUR), failed(ago=25 * HOUR)], NOW) == pool.UNTRIED


def test_a_timeout_counts_as_time_and_as_failure() -> None:
    timeout = KeptTrial(NOW - 1, Trial(15.0, "took longer", timed_out=True, benched=True))
    found = standing([took(1, ago=3), timeout, timeout], NOW)
    assert (found.samples, found.median_s) == (3, 15.0)
    assert found.benched_until == NOW - 1 + 60


def test_other_failures_say_nothing_about_speed() -> None:
    found = standing([took(2, ago=50), failed(ago=10)], NOW)
    assert (found.samples, found.median_s) == (1, 2)


def test_a_trial_from_the_future_is_left_out() -> None:
    assert standing([failed(ago=-HOUR)], NOW) == pool.UNTRIED
