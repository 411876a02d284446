"""What --debug shows of an exchange: all of it but secrets, and bodies of a readable length."""

import base64
import json

import pytest

from aivax_cli.model.exchange_log import LONGEST_TEXT, MOST_ITEMS, answer_text, body_text, request_text

KEY = "sk-proj-Zq81x7"


def test_a_request_is_shown_with_its_headers_and_its_body() -> None:
    body = json.dumps({"model": "m", "stream": True}).encode()
    shown = request_text("POST", "http://h/v1/chat/completions", [("accept", "text/event-stream")], body)
    assert shown.splitlines() == [
        "> POST http://h/v1/chat/completions",
        "> accept: text/event-stream",
        "{",
        '  "model": "m",',
        '  "stream": true',
        "}",
    ]


def test_the_head_of_an_answer_has_status_time_and_request_id() -> None:
    shown = answer_text(("http://h/v1", []), "200 OK", [("x-request-id", "req_1")], 0.4123)
    assert shown.splitlines() == ["< 200 OK in 0.41 s from http://h/v1", "< x-request-id: req_1"]


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("Authorization", f"Bearer {KEY}", "Bearer ***"),
        ("authorization", KEY, "***"),
        ("x-api-key", KEY, "***"),
        ("Api-Key", KEY, "***"),
        ("x-chroma-token", KEY, "***"),
        ("Proxy-Authorization", "Basic " + base64.b64encode(f"me:{KEY}".encode()).decode(), "Basic ***"),
        ("cookie", f"id={KEY}", "***"),
        ("x-ratelimit-remaining-tokens", "1000", "1000"),
        ("content-type", "application/json", "application/json"),
    ],
)
def test_headers_with_secrets_show_their_kind_alone(name: str, value: str, shown: str) -> None:
    text = request_text("POST", "http://h/v1", [(name, value)], b"")
    assert text.splitlines()[1] == f"> {name}: {shown}"


@pytest.mark.parametrize(
    "url",
    [
        f"https://user:{KEY}@h/v1",
        f"https://{KEY}@h/v1",
        f"https://h/v1?api_key={KEY}&version=2",
        f"https://h/v1?version=2&X-Goog-Signature={KEY}",
        f"https://h/v1?access_token={KEY}",
    ],
)
def test_an_address_never_shows_a_key(url: str) -> None:
    shown = request_text("GET", url, [], f'{{"said": "{KEY}"}}'.encode())
    assert KEY not in shown
    assert "h/v1" in shown
    assert ("version=2" in shown) == ("version=2" in url)
    assert KEY not in answer_text((url, []), "302 Found", [("location", url)], None)


def test_what_an_endpoint_echoes_of_a_key_is_hidden_too() -> None:
    sent = ("http://h/v1", [("authorization", f"Bearer {KEY}")])
    assert KEY not in answer_text(sent, "401", [("www-authenticate", f'Bearer error="{KEY}"')], None)
    assert KEY not in answer_text(sent, "401", [("x-reason", f"{KEY} is wrong")], None)


def test_images_are_elided_and_long_texts_cut_which_is_said() -> None:
    image = "data:image/png;base64," + "A" * 500
    body = {"image": image, "text": "x" * (LONGEST_TEXT + 1234), "input": ["t"] * (MOST_ITEMS + 5)}
    shown = json.loads(body_text(json.dumps(body).encode()))
    assert shown["image"] == "data:image/png;base64,… (500 characters)"
    assert shown["text"] == "x" * LONGEST_TEXT + "… (1,234 more characters)"
    assert shown["input"][-1] == "… 5 more items"


def test_what_is_no_json_is_shown_as_text() -> None:
    assert body_text(b"a=1\xff") == "a=1\ufffd"
