"""What was used, for programs: JSON with numbers and exact text, CSV with exact text."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from decimal import Decimal

    from aivax_cli.usage.report import Report, Row
    from aivax_cli.usage.sums import Selection

_FORMULA = ("=", "+", "-", "\t", "\r")


def usage_object(report: Report, selection: Selection, names: Mapping[str, str]) -> dict[str, object]:
    """The report as one JSON object. `…_usd` are numbers, `…_usd_exact` the same as exact decimal text.

    `total_usd` is null while a part is unpriced. `names` are what keys are called besides.
    """
    wanted = {"gateway": selection.gateways, "model": selection.models, "sku": selection.skus}
    return {
        "by": report.by,
        "since": _moment(selection.since),
        "until": _moment(selection.until),
        "filters": {name: list(values) for name, values in wanted.items() if values},
        "metadata": dict(selection.metadata),
        "rows": [_record(row, names) for row in report.rows],
        "total": {**_record(report.total, {}), "unpriced_turns": report.unpriced_turns},
    }


def usage_csv(report: Report, names: Mapping[str, str]) -> str:
    """A header and a line for each row, without the total; amounts are exact.

    What a spreadsheet would take for a formula gets a `'` before it: keys may come from who asked a server.
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    named = bool(names)
    writer.writerow(
        [report.by, *(["name"] if named else []), "turns", "tokens", "priced_usd", "unpriced_tokens"]
        + ["estimated_tokens", "estimated_usd"]
        + (["partial"] if report.period else [])
    )
    for row in report.rows:
        writer.writerow(
            [_cell(row.key), *([_cell(names.get(row.key, ""))] if named else []), row.turns, row.sum.tokens]
            + [_exact(row.sum.priced_usd), row.sum.unpriced_tokens, row.sum.estimated_tokens]
            + [_exact(row.sum.estimated_usd)]
            + ([int(row.partial)] if report.period else [])
        )
    return out.getvalue()


def _record(row: Row, names: Mapping[str, str]) -> dict[str, object]:
    found: dict[str, object] = {"key": row.key}
    if row.key in names:
        found["name"] = names[row.key]
    if row.begin is not None:
        found |= {"begin": row.begin.isoformat(), "partial": row.partial}
    return found | {
        "turns": row.turns,
        "tokens": row.sum.tokens,
        "priced_usd": row.sum.priced_usd,
        "priced_usd_exact": _exact(row.sum.priced_usd),
        "total_usd": row.sum.total_usd,
        "unpriced_tokens": row.sum.unpriced_tokens,
        "estimated_tokens": row.sum.estimated_tokens,
        "estimated_usd": row.sum.estimated_usd,
    }


def _moment(moment: object) -> str | None:
    return str(moment).replace(" ", "T").replace("+00:00", "Z") if moment else None


def _exact(amount: Decimal) -> str:
    """Plain digits without zeros at the end."""
    text = format(amount, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def _cell(text: str) -> str:
    return f"'{text}" if text.startswith(_FORMULA) else text
