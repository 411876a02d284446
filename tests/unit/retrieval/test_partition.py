"""What becomes of a collection's parts when vectors come and go."""

from __future__ import annotations

import random

import pytest

from aivax_cli.retrieval import partition
from aivax_cli.retrieval.partition import LARGE, MOST_PARTS, PART, SHARE, Part, Run, Standing, capacity, plan


def part(after: int, last: int, folder: str = "x") -> Part:
    return Part(folder, after, last, last - after, {})


def standing(after: int, last: int, dead: int = 0, *, sound: bool = True) -> Standing:
    return Standing(part(after, last), last - after - dead, sound)


def test_where_nothing_has_changed_nothing_is_done():
    assert plan([standing(0, 10)], 0) == ()
    assert plan([], 0) == ()


def test_a_first_index_is_one_stretch_without_an_end():
    assert plan([], 10) == (Run(0, None),)


def test_what_is_new_comes_into_the_last_part():
    assert plan([standing(0, 10)], 5) == (Run(0, None, part(0, 10), living=10),)


def test_a_part_with_little_room_stays_and_another_is_begun():
    full = round(PART * 0.8)
    stays, new = plan([standing(0, full)], 5_000)
    assert (stays.base, stays.stays) == (part(0, full), True)
    assert new == Run(full, None)


def test_only_the_part_that_has_dead_vectors_is_brought_up_to_date():
    first, second = plan([standing(0, 1000, dead=1), standing(1000, 2000)], 0)
    assert (first.base, first.last, first.stays) == (part(0, 1000), 1000, False)
    assert second.stays


def test_a_part_that_is_mostly_dead_is_built_from_nothing():
    (run,) = plan([standing(0, 1000, dead=600)], 0)
    assert (run.base, run.after, run.last) == (None, 0, 1000)


def test_a_damaged_part_is_built_from_nothing_and_the_others_stay():
    first, second = plan([standing(0, 1000, sound=False), standing(1000, 2000)], 0)
    assert (first.base, first.stays) == (None, False)
    assert second.stays


def test_a_part_of_dead_vectors_is_left_out():
    (run,) = plan([standing(0, 1000, dead=1000), standing(1000, 2000)], 0)
    assert (run.after, run.stays) == (1000, True)


def test_a_large_index_may_lag_a_little():
    large = 2 * LARGE
    assert plan([standing(0, large)], large // 200) == ()
    assert plan([standing(0, large, dead=large // 200)], 0) == ()
    assert plan([standing(0, large)], large // 50)


def test_a_large_index_that_lags_is_not_copied_for_the_dead_few_of_its_other_parts():
    stays, _ = plan([standing(0, PART, dead=PART // 200)], PART)
    assert stays.stays


@pytest.mark.parametrize(("vectors", "expected"), [(10, PART), (SHARE * PART, PART), (1_000_000, 125_000)])
def test_the_size_of_a_part(vectors, expected):
    assert capacity(vectors) == expected


def test_too_many_parts_become_fewer_of_the_allowed_size():
    size = PART // 3
    small = [standing(place * size, (place + 1) * size) for place in range(MOST_PARTS + 2)]
    runs = plan(small, PART)
    assert len(runs) < MOST_PARTS / 2
    assert all(run.living <= PART for run in runs)


@pytest.mark.parametrize("seed", range(5))
def test_through_any_changes_parts_hold_every_living_vector_once_and_stay_few(seed, monkeypatch):
    monkeypatch.setattr(partition, "PART", 50)
    monkeypatch.setattr(partition, "LARGE", 40)
    chance = random.Random(seed)
    living: list[int] = []
    parts: list[tuple[Part, set[int]]] = []  # with what each folder holds
    last = 0
    for _ in range(300):
        new = chance.randrange(1, 40)
        living = [each for each in living if chance.random() > 0.02] + list(range(last + 1, last + new + 1))
        last += new
        found = [Standing(each, sum(number in held for number in living), True) for each, held in parts]
        indexed = max((each.last for each, _ in parts), default=0)
        newer = sum(number > indexed for number in living)
        runs = plan(found, newer)
        if runs:
            parts = [made for run in runs for made in _made(run, parts, living)]
        held = [number for _, numbers in parts for number in numbers]
        assert len(held) == len(set(held))
        indexed = max((each.last for each, _ in parts), default=0)
        assert {number for number in living if number <= indexed} <= set(held)
        assert len(living) - len(set(living) & set(held)) <= max(1, 0.01 * len(living))
        assert len(parts) <= 2 * MOST_PARTS


def _made(run: Run, parts: list[tuple[Part, set[int]]], living: list[int]) -> list[tuple[Part, set[int]]]:
    """What the parts of a run hold when it is done."""
    if run.stays:
        return [(each, held) for each, held in parts if each == run.base]
    inside = [number for number in living if number > run.after and (run.last is None or number <= run.last)]
    size = capacity(len(living)) if run.last is None else len(inside)
    made, after = [], run.after
    for start in range(0, len(inside), max(1, size)):
        some = inside[start : start + size]
        end = some[-1] if run.last is None else run.last
        made.append((Part("x", after, end, len(some), {}), set(some)))
        after = end
    return made
