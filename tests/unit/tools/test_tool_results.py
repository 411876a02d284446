"""What tools give back, as text for a model."""

from mcp.types import (  # noqa: TID253 - the blocks are the SDK's own
    AudioContent,
    BlobResourceContents,
    EmbeddedResource,
    ImageContent,
    ResourceLink,
    TextContent,
    TextResourceContents,
)

from aivax_cli.tools.results import NOTHING, cut, masked, mcp_text


def text(value: str) -> TextContent:
    return TextContent(type="text", text=value)


def test_texts_are_joined() -> None:
    assert mcp_text([text("one"), text("two")], None) == "one\ntwo"


def test_structured_content_counts_where_there_is_no_text() -> None:
    assert mcp_text([], {"città": [1]}) == '{"città": [1]}'
    assert mcp_text([text("as text")], {"a": 1}) == "as text"


def test_what_is_no_text_is_noted() -> None:
    blocks = [
        ImageContent(type="image", data="aGVsbG8=", mime_type="image/png"),
        AudioContent(type="audio", data="aGVsbG8=", mime_type="audio/wav"),
        ResourceLink(type="resource_link", name="report", uri="file:///report.pdf"),
        EmbeddedResource(
            type="resource", resource=BlobResourceContents(uri="file:///x.bin", blob="aGVsbG8=")
        ),
    ]
    assert mcp_text(blocks, None).splitlines() == [
        "[image, image/png, about 6 bytes: not shown]",
        "[audio, audio/wav, about 6 bytes: not shown]",
        "[resource report: file:///report.pdf]",
        "[resource file:///x.bin: not text]",
    ]


def test_the_text_of_a_resource_is_text() -> None:
    resource = TextResourceContents(uri="file:///a.txt", text="inside")
    assert mcp_text([EmbeddedResource(type="resource", resource=resource)], None) == "inside"


def test_a_long_result_is_cut_with_a_note() -> None:
    assert cut("abcdef", 4) == "abcd\n[cut after 4 characters]"
    assert cut("abcd", 4) == "abcd"


def test_an_empty_result_says_so() -> None:
    assert cut(" \n", 100) == NOTHING


def test_half_a_character_does_not_get_through() -> None:
    assert cut("a\ud800b", 100) == "a?b"


def test_secrets_that_were_handed_out_are_masked() -> None:
    assert masked("key=hush and hush", ["hush"]) == "key=*** and ***"
