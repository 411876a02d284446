"""The page at `/`: what it may do, and that it needs nothing from elsewhere."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import shutil
import subprocess

import pytest
from support.serving import gateway, served
from support.upstream import Upstream, says


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    root = tmp_path_factory.mktemp("playground")
    with Upstream(says("Hello there.")) as upstream:
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


@pytest.fixture(scope="module")
def chromium():
    return shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


def test_the_script_runs_under_its_policy_in_a_browser(running, chromium, tmp_path):
    """Where there is a Chromium; elsewhere the digests above stand for it."""
    if chromium is None:
        return
    done = subprocess.run(
        [
            chromium,
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            f"--user-data-dir={tmp_path}",
            "--virtual-time-budget=3000",
            "--dump-dom",
            f"{running.url}/#gateway=g&prompt=Hello",
        ],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert re.search(r'<option[^>]*value="g"[^>]*>g</option>', done.stdout)
