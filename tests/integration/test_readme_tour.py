"""The README is true: its tour runs, and prints what the page says."""

import os
from pathlib import Path

import pytest
from support.readme import PAGES, REPOSITORY, comparable, run, tour, workspace

from aivax_cli.assets.store import default_cache_dir


@pytest.mark.timeout(900)
@pytest.mark.parametrize("page", PAGES)
def test_the_tour_prints_what_the_page_says(page: str, tmp_path: Path) -> None:
    workspace(tmp_path)
    cache = str(default_cache_dir(os.environ))
    steps = list(tour((REPOSITORY / page).read_text("utf-8")))
    assert len(steps) == 4
    for command, printed in steps:
        assert comparable(run(command, tmp_path, cache)) == comparable(printed), command


@pytest.mark.parametrize("page", PAGES)
def test_every_link_to_a_file_leads_to_one(page: str) -> None:
    import re

    text = (REPOSITORY / page).read_text("utf-8")
    links = re.findall(r"\]\((?!https?:)([^)#]+)", text)
    assert links
    assert [link for link in links if not (REPOSITORY / link).exists()] == []
