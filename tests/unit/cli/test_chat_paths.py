"""Paths as people type, paste and drop them."""

from pathlib import Path

import pytest

from aivax_cli.cli.chat_paths import last_word, split_images, split_question

IMAGES = {"/pics/plan.png", "/pics/a b.jpg", "/pics/é (1).png", "/pics/c.gif"}


def images_of(text: str) -> tuple[str, list[str]]:
    question, images = split_images(text, lambda path: path.as_posix() in IMAGES)
    return question, [image.as_posix() for image in images]


@pytest.mark.parametrize(
    "written",
    [
        "/pics/a b.jpg",
        "'/pics/a b.jpg'",
        '"/pics/a b.jpg"',
        r"/pics/a\ b.jpg",
        "file:///pics/a%20b.jpg",
        "file://localhost/pics/a%20b.jpg",
        "  '/pics/a b.jpg' \n",
    ],
)
def test_a_message_that_is_a_path_of_an_image_is_that_image(written: str) -> None:
    assert images_of(written) == ("", ["/pics/a b.jpg"])


@pytest.mark.parametrize(
    ("text", "question", "images"),
    [
        ("/pics/plan.png what is it?", "what is it?", ["/pics/plan.png"]),
        ("what is it? '/pics/a b.jpg'", "what is it?", ["/pics/a b.jpg"]),
        ("/pics/plan.png /pics/c.gif\ncompare", "compare", ["/pics/plan.png", "/pics/c.gif"]),
        ("What is in /pics/plan.png?", "What is in plan.png?", ["/pics/plan.png"]),
        ("Is '/pics/a b.jpg' like this one: /pics/c.gif", "Is a b.jpg like this one:", None),
        (r"don't mind /pics/é\ \(1\).png, thanks", "don't mind é (1).png, thanks", ["/pics/é (1).png"]),
        ("/pics/c.gif and /pics/c.gif again", "and c.gif again", ["/pics/c.gif"]),
    ],
)
def test_the_other_words_remain_the_question(text: str, question: str, images: list[str] | None) -> None:
    assert images_of(text) == (question, images or ["/pics/a b.jpg", "/pics/c.gif"])


@pytest.mark.parametrize(
    "text",
    [
        "what does either/or mean?",
        "is /pics/missing.png there?",
        "`/pics/plan.png` is the name",
        "pics/plan.png",
        "file://elsewhere/pics/plan.png",
        "see /pics/plan.png\n" + "a log line\n" * 20,
        "see /pics/plan.png" + " and much more" * 1_000,
    ],
)
def test_a_message_without_the_path_of_an_image_stays_as_it_is(text: str) -> None:
    assert images_of(text) == (text, [])


def test_only_what_looks_like_an_absolute_path_is_looked_up() -> None:
    asked: list[str] = []

    def is_image(path: Path) -> bool:
        asked.append(path.as_posix())
        return False

    split_images("either/or 'a b' c.png /x/y.png ./z.png", is_image)
    assert asked == ["/x/y.png"]


@pytest.mark.parametrize(
    ("argument", "places", "question"),
    [
        ("a.md -- What?", "a.md", "What?"),
        ("a.md b.md --\nWhat -- of it?", "a.md b.md", "What -- of it?"),
        ("-- What?", "", "What?"),
        ("a.md --", "a.md", ""),
        ("a--b.md", "a--b.md", None),
    ],
)
def test_the_first_two_dashes_alone_part_files_from_the_question(
    argument: str, places: str, question: str | None
) -> None:
    assert split_question(argument) == (places, question)


@pytest.mark.parametrize(
    ("argument", "start", "word"),
    [
        ("a.md b", 5, "b"),
        ("a.md 'my no", 5, "my no"),
        (r"my\ no", 0, "my no"),
        ("'a b'", 0, "a b"),
        ("a ", 2, ""),
    ],
)
def test_the_word_that_is_being_typed_need_not_be_closed(argument: str, start: int, word: str) -> None:
    assert last_word(argument) == (start, word)
