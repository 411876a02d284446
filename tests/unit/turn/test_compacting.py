"""Asking for a summary, and what an answer went on with."""

from aivax_cli.cli.chat_turn import joined
from aivax_cli.core.types import Attached, Image, Message
from aivax_cli.prompt.compacting import read_summary, summary_request


def test_a_request_holds_the_whole_conversation_and_the_summary_before() -> None:
    talk = (
        Message("user", "What is in it?", attached=(Attached("a.txt", "its text"),)),
        Message("assistant", "This and that."),
        Message("user", "And here?", images=(Image("data:image/png;base64,AAAA"),)),
    )
    asked = summary_request(talk, "They spoke of names.")[-1].content
    assert "They spoke of names." in asked
    assert "user: [document a.txt]\nits text\nWhat is in it?" in asked
    assert "assistant: This and that." in asked
    assert "base64" not in asked


def test_reasoning_is_no_part_of_a_summary() -> None:
    assert read_summary("<think>let me see</think>\nShort.\n") == "Short."


def test_an_answer_goes_on_where_it_broke_off() -> None:
    assert joined("Half an ", "answer.") == "Half an answer."


def test_what_a_model_repeats_of_the_end_is_told_once() -> None:
    assert joined("one two three four five", "three four five six") == "one two three four five six"


def test_a_short_word_twice_is_no_repetition() -> None:
    assert joined("no, no", " no, never") == "no, no no, never"
