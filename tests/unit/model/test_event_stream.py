"""Server-sent events as endpoints write them."""

from __future__ import annotations

import pytest

from aivax_cli.model.event_stream import EventParser


def read(*pieces: bytes) -> list[str]:
    parser = EventParser()
    return [data for piece in pieces for data in parser.feed(piece)] + parser.finish()


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
@pytest.mark.parametrize("size", [1, 2, 3, 5, 1000])
def test_events_are_the_same_however_they_are_cut(end, size):
    body = end.join([b"data: one", b"", b": a comment", b"", b"data:two", b"data: three", b"", b"data: last"])
    pieces = [body[start : start + size] for start in range(0, len(body), size)]
    assert read(*pieces) == ["one", "two\nthree", "last"]


def test_only_one_space_after_the_colon_is_left_out():
    assert read(b"data:  two spaces\n\n") == [" two spaces"]


def test_names_ids_and_events_without_data_are_passed_over():
    assert read(b"event: x\nid: 7\nretry: 10\n\ndata: y\nevent: z\n\n") == ["y"]


def test_a_letter_that_is_cut_in_two_is_read_whole():
    assert read("data: é\n\n".encode()[:7], "data: é\n\n".encode()[7:]) == ["é"]


def test_bytes_that_are_no_utf8_are_replaced():
    assert read(b"data: \xff\n\n") == ["\ufffd"]


def test_line_separators_of_unicode_end_no_line():
    assert read("data: a\u2028b\u0085c\n\n".encode()) == ["a\u2028b\u0085c"]


def test_what_waits_for_its_end_is_told():
    parser = EventParser()
    parser.feed(b"data: x\n\ndata: yz")
    assert parser.pending == len(b"data: yz")
