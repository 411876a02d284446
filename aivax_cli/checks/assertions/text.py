"""Rules about an answer's words."""

from __future__ import annotations

import re

from aivax_cli.checks.assertions.base import Found, excerpt
from aivax_cli.checks.results import Answer
from aivax_cli.gateway.check_assertion import Assertion, Range, texts

# Compiled at their first use: most runs do without them.
_SENTENCE_END = r"(?<=[.!?…])[\"'”’)\]]*\s+|[。！？]+"
_REFUSALS = (
    r"(?i)"
    r"\b(?:i (?:do not|don['’]t|cannot|can['’]t|am unable|am not able)\b.{0,40}\b(?:know|help|answer|find|"
    r"assist|provide|comply|do that)|i['’]m (?:sorry|unable|not able)|no information|not (?:mentioned|"
    r"specified|stated)|(?:documents?|passages?) (?:do(?:es)? not|don['’]t) (?:say|mention|contain)|"
    r"n[ãa]o (?:sei|posso|encontrei|consigo|h[áa] informa)|desculpe|infelizmente|documentos n[ãa]o dizem|"
    r"lo siento|no (?:s[ée]|puedo|encuentro|hay informaci))"
)


def _folded(text: str, assertion: Assertion) -> str:
    return text.casefold() if assertion.ignore_case else text


def equals(assertion: Assertion, answer: Answer) -> Found:
    wanted = assertion.equals or ""
    holds = _folded(wanted.strip(), assertion) == _folded(answer.text.strip(), assertion)
    reason = "" if holds else _first_difference(wanted.strip(), answer.text.strip())
    return Found(holds, excerpt(wanted), excerpt(answer.text), reason)


def contains(assertion: Assertion, answer: Answer) -> Found:
    wanted = texts(assertion.contains)
    missing = [text for text in wanted if _folded(text, assertion) not in _folded(answer.text, assertion)]
    said = ", ".join(map(repr, missing))
    return Found(
        not missing, " and ".join(map(repr, wanted)), excerpt(answer.text), f"does not contain {said}"
    )


def contains_any(assertion: Assertion, answer: Answer) -> Found:
    wanted = texts(assertion.contains_any)
    holds = any(_folded(text, assertion) in _folded(answer.text, assertion) for text in wanted)
    listed = " or ".join(map(repr, wanted))
    return Found(holds, listed, excerpt(answer.text), f"contains none of {listed}")


def starts_with(assertion: Assertion, answer: Answer) -> Found:
    wanted = assertion.starts_with or ""
    text = answer.text.strip()
    holds = _folded(text, assertion).startswith(_folded(wanted, assertion))
    return Found(holds, repr(wanted), excerpt(text), f"starts with {text[: len(wanted)]!r}")


def ends_with(assertion: Assertion, answer: Answer) -> Found:
    wanted = assertion.ends_with or ""
    text = answer.text.strip()
    holds = _folded(text, assertion).endswith(_folded(wanted, assertion))
    return Found(holds, repr(wanted), excerpt(text), f"ends with {text[-len(wanted) :]!r}")


def regex(assertion: Assertion, answer: Answer) -> Found:
    wanted = assertion.regex or ""
    holds = re.search(wanted, answer.text, re.IGNORECASE if assertion.ignore_case else 0) is not None
    return Found(holds, f"/{wanted}/", excerpt(answer.text), f"/{wanted}/ is not found")


def words(assertion: Assertion, answer: Answer) -> Found:
    return _counted(assertion.words, len(answer.text.split()), "word")


def sentences(assertion: Assertion, answer: Answer) -> Found:
    count = sum(1 for each in re.split(_SENTENCE_END, answer.text) if any(map(str.isalnum, each)))
    return _counted(assertion.sentences, count, "sentence")


def levenshtein(assertion: Assertion, answer: Answer) -> Found:
    wanted = assertion.levenshtein
    if wanted is None:
        return Found(None, reason="no text to compare with")
    distance = edit_distance(
        _folded(wanted.to, assertion), _folded(answer.text.strip(), assertion), wanted.max
    )
    shown = f"at most {wanted.max} from {excerpt(wanted.to)!r}"
    more = f"more than {wanted.max}" if distance > wanted.max else str(distance)
    return Found(distance <= wanted.max, shown, excerpt(answer.text), f"differs by {more} characters")


def refusal(assertion: Assertion, answer: Answer) -> Found:
    refuses = re.search(_REFUSALS, answer.text) is not None
    wanted = "a refusal" if assertion.refusal else "no refusal"
    return Found(
        refuses is assertion.refusal,
        wanted,
        excerpt(answer.text),
        "refuses" if refuses else "does not refuse",
    )


def edit_distance(a: str, b: str, most: int) -> int:
    """Levenshtein's distance (1966), or `most + 1` as soon as it is known to be above `most`."""
    if abs(len(a) - len(b)) > most:
        return most + 1
    row = list(range(len(b) + 1))
    for i, left in enumerate(a, start=1):
        above, row = row, [i]
        for j, right in enumerate(b, start=1):
            row.append(min(above[j] + 1, row[j - 1] + 1, above[j - 1] + (left != right)))
        if min(row) > most:
            return most + 1
    return row[-1]


def _counted(wanted: Range | None, count: int, unit: str) -> Found:
    if wanted is None:
        return Found(None, reason="no bounds")
    least, most = wanted.min or 0, wanted.max
    holds = count >= least and (most is None or count <= most)
    bounds = f"{least} to {most} {unit}s" if most is not None else f"at least {least} {unit}s"
    said = f"{count} {unit}{'' if count == 1 else 's'}"
    return Found(holds, bounds, said, f"has {said}, not {bounds}")


def _first_difference(wanted: str, found: str) -> str:
    place = next((i for i, (a, b) in enumerate(zip(wanted, found, strict=False)) if a != b), None)
    place = min(len(wanted), len(found)) if place is None else place
    return f"from character {place + 1}: {wanted[place : place + 30]!r} / {found[place : place + 30]!r}"
