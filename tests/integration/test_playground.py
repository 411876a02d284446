"""The page at `/`: what it may do, and that it needs nothing from elsewhere."""

from __future__ import annotations

import base64
import hashlib
import json
import re

import pytest
from support.browser import CHROMIUM
from support.browser import page as browser_page
from support.serving import gateway, served, until
from support.upstream import Upstream, chunk, says, sse


@pytest.fixture(scope="module")
def upstream():
    with Upstream(says("Hello there.")) as server:
        yield server


@pytest.fixture(scope="module")
def running(tmp_path_factory, upstream):
    root = tmp_path_factory.mktemp("playground")
    gateway(root, upstream, "g")
    with served(root) as server:
        yield server


@pytest.fixture(scope="module")
def page(running):
    return running.get("/")


def policy(page):
    parts = page.headers["content-security-policy"].split("; ")
    return {name: values for name, _, values in (part.partition(" ") for part in parts)}


def test_the_page_may_run_its_own_script_and_nothing_else(page):
    given = policy(page)
    for kind in ("script", "style"):
        inline = re.findall(rf"<{kind}>(.*?)</{kind}>", page.text, re.DOTALL)
        digests = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in inline]
        assert given[f"{kind}-src"] == f"'sha256-{digests[0]}'" and len(inline) == 1
    assert (given["default-src"], given["connect-src"]) == ("'none'", "'self'")


def test_the_page_cannot_be_framed(page):
    assert policy(page)["frame-ancestors"] == "'none'"


def test_the_page_names_no_other_place(page):
    assert not re.findall(r"https?://|//[a-z]+\.|@import|url\(", page.text)
    assert not re.findall(r"<(?:script|link|img|iframe)\b[^>]*\b(?:src|href)=\"(?!data:)", page.text)


def test_the_page_puts_answers_in_as_text(page):
    assert not re.findall(r"innerHTML|outerHTML|insertAdjacent|document\.write|\beval\b|\son\w+=", page.text)


def test_the_page_keeps_a_key_for_its_tab_alone(page):
    assert "sessionStorage" in page.text
    assert "localStorage" not in page.text and "document.cookie" not in page.text


def test_every_field_of_the_page_has_a_name_for_those_who_do_not_see_it(page):
    labelled = set(re.findall(r'<label[^>]*\bfor="(\w+)"', page.text))
    labelled |= set(re.findall(r'<label>[^<]*<(?:select|input)[^>]*\bid="(\w+)"', page.text))
    fields = set(re.findall(r'<(?:select|input|textarea)[^>]*\bid="(\w+)"', page.text))
    assert fields and fields <= labelled


@pytest.mark.parametrize("path", ["/playground.html", "/index.html", "/..%2fkeys.py"])
def test_nothing_but_the_page_is_served_as_a_file(running, path):
    assert running.get(path).status_code == 404


def test_the_last_chunk_has_what_the_page_shows(running):
    body = {"model": "g", "prompt": "Hi", "stream": True, "stream_options": {"include_usage": True}}
    events = [line[6:] for line in running.post(body).text.splitlines() if line.startswith("data: {")]
    last = json.loads(events[-1])
    context = last["generation_context"]
    assert (last["citations"], context["search_terms"]) == ([], [])
    assert {"sku", "quantity", "unit_price", "amount"} <= set(context["generated_usage"][0])


def test_the_script_uses_what_is_on_the_page(page):
    named = re.findall(r'\bid="(\w+)"', page.text)
    used = set(re.findall(r'\$\("(\w+)"\)', page.text))
    assert used and used <= set(named) and len(named) == len(set(named))


def test_the_script_asks_for_nothing_that_is_not_served(page, running):
    asked = set(re.findall(r'fetch\("([^"]+)"', page.text))
    assert (
        asked == {"/v1/models", "/v1/chat/completions"} <= running.get("/openapi.json").json()["paths"].keys()
    )


def test_what_is_announced_and_reached_by_keyboard_is_marked_up(page):
    assert '<html lang="en">' in page.text and 'role="log" aria-live="polite"' in page.text
    assert not re.findall(r"tabindex=\"[1-9]", page.text)
    clicked = re.findall(r'\$\("(\w+)"\)\.addEventListener\("click"', page.text)
    buttons = re.findall(r'<button[^>]*\bid="(\w+)"', page.text)
    assert set(clicked) <= set(buttons)


def luminance(colour):
    """Of sRGB, by WCAG 2.2."""
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_colour_of_text_can_be_read_on_what_is_behind_it(page, scheme):
    """At least 4.5 to 1, as WCAG's AA asks of text."""
    light, dark = re.findall(r":root \{([^}]*)\}", page.text)
    colours = dict(re.findall(r"--([\w-]+): (#\w{6})", light if scheme == "light" else dark))
    pairs = [("text", each) for each in ("page", "card", "own")]
    pairs += [("quiet", "page"), ("quiet", "card"), ("mark", "card"), ("mark-text", "mark")]
    pairs += [("wrong", "wrong-page")]
    for over, under in pairs:
        bright, dim = sorted((luminance(colours[over]), luminance(colours[under])), reverse=True)
        assert (bright + 0.05) / (dim + 0.05) >= 4.5, (over, under)


if CHROMIUM:  # elsewhere there is nothing to run the script, and what it says is tested above

    @pytest.fixture(scope="module")
    def tab(running, tmp_path_factory):
        with browser_page(
            f"{running.url}/#gateway=g&prompt=Hello", tmp_path_factory.mktemp("profile")
        ) as tab:
            tab.wait("document.querySelectorAll('#gateway option').length")
            yield tab

    def test_in_a_browser_a_chat_needs_the_keyboard_alone_and_shows_what_it_cost(running, tab):
        tab.wait("document.getElementById('prompt').value === 'Hello'")
        assert tab.value("document.activeElement.id") == "prompt"
        tab.press("Enter", 13, "\r")
        tab.wait("document.querySelector('tfoot')")
        shown = tab.value("document.getElementById('log').innerText")
        assert "Hello there." in shown and "inference.chat_completions.out" in shown
        assert tab.value("document.activeElement.id") == "prompt"

    def test_in_a_browser_nothing_is_asked_for_elsewhere_and_the_policy_is_kept(running, tab):
        assert tab.requested and all(url.startswith(running.url) for url in tab.requested)
        assert not [each for each in tab.complaints if "Content Security" in each or "Error" in each]

    def test_in_a_browser_markup_of_a_model_is_text(running, upstream, tab):
        upstream.answers(says("<img src=x onerror=alert(1)><b>bold</b>"))
        before = tab.value("document.querySelectorAll('tfoot').length")
        tab.type("Markup?")
        tab.press("Enter", 13, "\r")
        tab.wait(f"document.querySelectorAll('tfoot').length > {before}")
        assert tab.value("document.querySelectorAll('#log img, #log b').length") == 0
        assert "<b>bold</b>" in tab.value("document.getElementById('log').innerText")

    def test_in_a_browser_escape_stops_an_answer(running, upstream, tab):
        upstream.answers(sse([chunk("One ")], end=None, ending="stall"))
        tab.type("Long?")
        tab.press("Enter", 13, "\r")
        tab.wait("document.querySelector('.waiting')?.innerText.includes('One')")
        tab.press("Escape", 27)
        tab.wait("document.querySelector('[role=alert]')?.innerText === 'Stopped.'")
        until(upstream.disconnected.is_set)
