"""UUIDv7 and names."""

import uuid

import pytest

from aivax_cli.gateway.definition import Gateway
from aivax_cli.gateway.ids import name_from, new_id


def test_an_id_is_a_uuid_of_version_7_and_of_the_rfcs_variant() -> None:
    made = uuid.UUID(new_id())
    assert made.version == 7
    assert made.variant == uuid.RFC_4122


def test_the_first_48_bits_are_the_milliseconds() -> None:
    # The example of RFC 9562, appendix A.6: 2022-02-22 19:22:22 UTC.
    assert new_id(0x017F22E279B0).startswith("017f22e2-79b0-7")


def test_later_ids_sort_behind_earlier_ones() -> None:
    made = [new_id(1_700_000_000_000 + step) for step in range(50)]
    assert made == sorted(made)


def test_ids_of_one_millisecond_differ() -> None:
    assert len({new_id(1_700_000_000_000) for _ in range(1000)}) == 1000


def test_a_made_id_and_name_are_what_a_gateway_takes() -> None:
    gateway = Gateway(id=new_id(), name=name_from("Atenção: Dúvidas!"), model="@openai/gpt-5-mini")
    assert gateway.slug == f"atencao-duvidas:{gateway.id[-4:]}"


@pytest.mark.parametrize(
    ("text", "name"),
    [("My Gateway", "my-gateway"), ("--x--", "x"), ("a" * 99, "a" * 64), ("日本", ""), ("v1.2_b", "v1.2_b")],
)
def test_a_name_is_made_from_any_text(text: str, name: str) -> None:
    assert name_from(text) == name
