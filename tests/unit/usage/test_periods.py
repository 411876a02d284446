"""Days, weeks and months."""

from datetime import date

import pytest

from aivax_cli.usage.periods import after, begin_of, fitting, name_of, periods


@pytest.mark.parametrize(
    ("day", "period", "begin"),
    [
        (date(2026, 5, 6), "day", date(2026, 5, 6)),
        (date(2026, 5, 6), "week", date(2026, 5, 4)),
        (date(2026, 5, 10), "week", date(2026, 5, 4)),
        (date(2027, 1, 1), "week", date(2026, 12, 28)),
        (date(2026, 5, 31), "month", date(2026, 5, 1)),
    ],
)
def test_a_day_is_in_the_period_that_begins_on(day, period, begin):
    assert begin_of(day, period) == begin


@pytest.mark.parametrize(
    ("begin", "period", "following"),
    [
        (date(2028, 2, 28), "day", date(2028, 2, 29)),
        (date(2026, 12, 28), "week", date(2027, 1, 4)),
        (date(2026, 12, 1), "month", date(2027, 1, 1)),
        (date(2026, 2, 1), "month", date(2026, 3, 1)),
    ],
)
def test_periods_follow_each_other(begin, period, following):
    assert after(begin, period) == following


def test_periods_without_charges_are_there_too():
    assert list(periods(date(2026, 1, 31), date(2026, 3, 1), "month")) == [
        date(2026, 1, 1),
        date(2026, 2, 1),
        date(2026, 3, 1),
    ]


def test_weeks_are_named_by_their_monday_and_months_by_year_and_month():
    assert (name_of(date(2026, 5, 4), "week"), name_of(date(2026, 5, 1), "month")) == (
        "2026-05-04",
        "2026-05",
    )


@pytest.mark.parametrize(("days", "period"), [(60, "day"), (61, "week"), (420, "week"), (421, "month")])
def test_the_shortest_period_that_fits_is_taken(days, period):
    assert fitting(days, 60) == period
