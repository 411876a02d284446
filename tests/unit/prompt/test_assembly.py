"""The order in which a model reads its messages."""

from aivax_cli.core.types import Attached, Message, Passage, Source
from aivax_cli.gateway.definition import Gateway
from aivax_cli.prompt.assembly import assemble
from aivax_cli.prompt.passages import NO_PASSAGES, passages_text

PASSAGE = Passage("1", "Plain is the default.", Source("kb", "a.md"), 0.5, 1)
TALK = (Message("user", "one"), Message("assistant", "two"), Message("user", "three"))


def gateway(**fields: object) -> Gateway:
    return Gateway.model_validate(
        {"id": "0198683a-2b6d-7066-9598-6ea119c219f2", "name": "g", "model": "@local/m", **fields}
    )


def test_a_bare_gateway_sends_the_conversation_alone() -> None:
    assert assemble(gateway(), None, TALK) == TALK


def test_instructions_and_examples_come_first() -> None:
    sent = assemble(gateway(examples=[{"user": "q", "assistant": "a"}]), "Be brief.", TALK)
    assert sent == (Message("system", "Be brief."), Message("user", "q"), Message("assistant", "a"), *TALK)


def test_passages_are_a_user_message_before_the_last_user_message() -> None:
    sent = assemble(gateway(knowledge={"collections": ["kb"]}), None, TALK, [PASSAGE])
    assert sent == (*TALK[:2], Message("user", passages_text([PASSAGE])), TALK[2])


def test_prepended_passages_stand_above_the_question_in_its_message() -> None:
    knowledge = {"collections": ["kb"], "attach": "prepend"}
    sent = assemble(gateway(knowledge=knowledge), None, TALK, [PASSAGE])
    assert sent == (*TALK[:2], Message("user", f"{passages_text([PASSAGE])}\n\nQuestion: three"))


def test_the_template_holds_for_every_user_message_and_no_other() -> None:
    sent = assemble(gateway(prompt_template="<{prompt}> {not a field}"), None, TALK)
    assert [message.content for message in sent] == ["<one> {not a field}", "two", "<three> {not a field}"]


def test_a_prefill_is_the_last_message_and_the_assistants() -> None:
    assert assemble(gateway(prefill="Sure:"), None, TALK)[-1] == Message("assistant", "Sure:")


def test_a_search_that_found_nothing_is_told_to_the_model() -> None:
    sent = assemble(gateway(knowledge={"collections": ["kb"]}), None, TALK, ())
    assert sent == (*TALK[:2], Message("user", NO_PASSAGES), TALK[2])


def test_attached_documents_stand_above_what_was_said_outside_of_the_template() -> None:
    asked = Message("user", "why?", attached=(Attached("a.md", "one"), Attached("b.md", "two")))
    (sent,) = assemble(gateway(prompt_template="<{prompt}>"), None, (asked,))
    documents = '<document name="a.md">\none\n</document>\n\n<document name="b.md">\ntwo\n</document>'
    assert sent == Message("user", f"{documents}\n\n<why?>")


def test_attached_documents_do_not_part_prepended_passages_from_the_question() -> None:
    asked = Message("user", "why?", attached=(Attached("a.md", "one"),))
    knowledge = {"collections": ["kb"], "attach": "prepend"}
    (sent,) = assemble(gateway(knowledge=knowledge), None, (asked,), [PASSAGE])
    assert sent.content.startswith('<document name="a.md">')
    assert sent.content.endswith(f"</document>\n\n{passages_text([PASSAGE])}\n\nQuestion: why?")
