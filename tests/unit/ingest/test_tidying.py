"""HTML in, balanced HTML out."""

from __future__ import annotations

import random
import re

import pytest

from aivax_cli.ingest.readers.tidy import tidied


@pytest.mark.parametrize(
    ("written", "balanced"),
    [
        ("<p>a<p>b", "<p>a</p><p>b</p>"),
        ("<ul><li>a<li>b<ul><li>c</ul></ul>", "<ul><li>a</li><li>b<ul><li>c</li></ul></li></ul>"),
        ("<dl><dt>a<dd>b<dt>c</dl>", "<dl><dt>a</dt><dd>b</dd><dt>c</dt></dl>"),
        (
            "<table><tr><td>a<td>b<tr><td>c</table>",
            "<table><tr><td>a</td><td>b</td></tr><tr><td>c</td></tr></table>",
        ),
        (
            "<table><tr><td><table><tr><td>in</table><td>out</table>",
            "<table><tr><td><table><tr><td>in</td></tr></table></td><td>out</td></tr></table>",
        ),
        ("<p>a<div>b</div>", "<p>a</p><div>b</div>"),
        ("<p>a<hr>b", "<p>a</p><hr>b"),
        ("<h1>a<h2>b</h2>", "<h1>a</h1><h2>b</h2>"),
        ("<b>a<i>b</b>c", "<b>a<i>b</i></b>c"),
        ("</div></p>a", "a"),
        ("1 < 2", "1 &lt; 2"),
        ("<span class=k>a</span><x-y>b</x-y>", "ab"),
        ("<a class=c href='u'>a</a><p class=c>b</p>", "<a class=c href='u'>a</a><p>b</p>"),
    ],
)
def test_every_element_ends_where_the_standard_ends_it(written: str, balanced: str) -> None:
    assert tidied(written, is_main=False) == balanced


@pytest.mark.parametrize(
    "unseen",
    [
        "<script>if (a<b) '<p>'</script>",
        "<STYLE>p{}</STYLE>",
        "<!-- <p>x</p> -->",
        "<nav><ul><li>x</ul></nav>",
        "<svg><g><text>x</text></g></svg>",
        "<svg/>",
        "<div hidden><p>x</p></div>",
        "<p style='color: red; display: none'>x</p>",
        "<span aria-hidden=true>x</span>",
        "<div role=navigation><div>x</div>y</div>",
        "<select><option>x<option>y</select>",
        "<footer>x</footer>",
        "<?php x ?>",
        "<!DOCTYPE html>",
    ],
)
def test_what_nobody_sees_goes_and_what_follows_it_stays(unseen: str) -> None:
    tidy = tidied(f"<p>before</p>{unseen}<p>after</p>", is_main=False)
    assert tidy.replace("<p></p>", "") == "<p>before</p><p>after</p>"


def test_an_aside_within_the_main_part_stays() -> None:
    assert tidied("<aside>note</aside>", is_main=True) == "<aside>note</aside>"


def test_an_unclosed_navigation_ends_with_what_it_stands_in() -> None:
    tidy = tidied("<div><nav>x</div><p>after", is_main=False)
    assert tidy.replace("<p></p>", "") == "<div></div><p>after</p>"


@pytest.mark.parametrize("attributes", ["class=hidden", "data-hidden=1", "style='display: block'"])
def test_what_only_sounds_hidden_stays(attributes: str) -> None:
    assert "seen" in tidied(f"<p {attributes}>seen</p>", is_main=False)


def test_random_tags_come_out_balanced_shallow_and_with_every_word() -> None:
    rng = random.Random(3)
    names = [
        "p",
        "div",
        "ul",
        "li",
        "table",
        "tr",
        "td",
        "b",
        "a",
        "h2",
        "dl",
        "dd",
        "section",
        "pre",
        "form",
    ]
    for _ in range(300):
        parts = []
        for number in range(200):
            kind = rng.random()
            name = rng.choice(names)
            parts.append(f"<{name}>" if kind < 0.45 else f"</{name}>" if kind < 0.7 else f"w{number}. ")
        page = "".join(parts)
        tidy = tidied(page, is_main=False)
        open_names: list[str] = []
        for end, name in re.findall(r"<(/?)([a-z0-9]+)", tidy):
            if end:
                assert open_names.pop() == name
            else:
                open_names.append(name)
                assert len(open_names) <= 42
        assert open_names == []
        assert re.findall(r"w\d+", tidy) == re.findall(r"w\d+", page)
