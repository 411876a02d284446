"""What a person hears of a download."""

from aivax_cli.render.downloads import download_progress


def test_a_download_is_told_at_its_start_and_every_few_seconds() -> None:
    told: list[str] = []
    times = iter([0.0, 1.0, 4.9, 5.0, 7.0, 10.5])
    progress = download_progress(told.append, clock=lambda: next(times))
    for done in (0, 10_000_000, 40_000_000, 50_000_000, 70_000_000, 90_000_000):
        progress("qwen", done, 491_000_000)
    assert told == [
        "downloading qwen: 0 of 491 MB",
        "downloading qwen: 50 of 491 MB",
        "downloading qwen: 90 of 491 MB",
    ]


def test_a_download_of_unknown_size_is_told_without_one() -> None:
    told: list[str] = []
    download_progress(told.append, clock=lambda: 0.0)("x", 2_000_000, None)
    assert told == ["downloading x: 2 MB"]
