"""When a stream is read by the beat."""

from __future__ import annotations

import asyncio

from aivax_cli.model.pacing import BEAT_S, Beat, Pace


def paced(*times_s: float) -> bool:
    """Whether a stream is quick after pieces that came at these times."""
    pace, asked = Pace(), 0.0
    for came in times_s:
        asked += BEAT_S if pace.quick else 0.0
        now = max(asked, came)
        pace.read(asked, now)
        asked = now
    return pace.quick


def test_the_beginning_of_an_answer_is_never_held():
    assert not paced(0.0, 0.001)


def test_pieces_that_come_one_upon_the_other_are_read_by_the_beat():
    assert paced(0.0, 0.001, 0.002, 0.003, 0.004)


def test_a_stream_that_is_read_by_the_beat_stays_quick():
    assert paced(*(0.002 * n for n in range(99)))


def test_a_slow_stream_is_read_as_it_comes():
    assert not paced(*(0.025 * n for n in range(9)))


def test_a_stream_that_slows_down_is_read_as_it_comes_again():
    assert not paced(0.0, 0.001, 0.002, 0.003, 0.004, 1.0)


def test_everything_told_before_a_beat_is_done_at_it():
    async def run() -> list[list[int]]:
        beat, done, seen = Beat(), list[int](), list[list[int]]()
        for number in range(3):
            beat.at_next(lambda number=number: done.append(number))
        seen.append(list(done))
        await asyncio.sleep(BEAT_S * 3)
        beat.at_next(lambda: done.append(3))
        seen.append(list(done))
        await asyncio.sleep(BEAT_S * 3)
        return [*seen, done]

    assert asyncio.run(run()) == [[], [0, 1, 2], [0, 1, 2, 3]]
