"""The question whether a tool may run."""

from aivax_cli.render.approval import approval_question


def test_it_names_the_tool_its_origin_and_the_arguments() -> None:
    assert approval_question("send", "uvx mail", '{"to": "a@b.c"}').plain == (
        'run send  uvx mail\n  {"to": "a@b.c"}\n[y]es  [n]o  [a]lways in this session › '
    )


def test_nothing_in_it_is_obeyed_by_a_terminal() -> None:
    question = approval_question("a\x1b[2J", "b\r\nc", '{"x":\n"\x07\u202e"}').plain
    assert not any(letter in question for letter in "\x1b\r\x07\u202e")
    assert len(question.splitlines()) == 3


def test_it_says_how_much_of_long_arguments_is_not_shown() -> None:
    question = approval_question("send", "here", "x" * 5000).plain
    assert "x… (1,000 more characters not shown)" in question
