"""A run as one self-contained page: the matrix, and each test with its terms, passages, answer and cost.

Nothing is loaded from elsewhere, no script is needed, and everything that a model wrote is escaped.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from html import escape
from pathlib import Path

from aivax_cli.checks.results import (
    Answer,
    CaseResult,
    Cell,
    Comparison,
    Finding,
    Run,
    Sample,
    Status,
    cell_label,
)

_MARKS = {Status.PASS: "✓", Status.FAIL: "✗", Status.ERROR: "!", Status.SKIP: "–"}

_STYLE = """
:root { color-scheme: light dark; --line: #8884; --soft: #8881; --pass: #1a7f37; --fail: #cf222e;
  --error: #9a6700; --skip: #6e7781; }
@media (prefers-color-scheme: dark) {
  :root { --pass: #3fb950; --fail: #f85149; --error: #d29922; --skip: #8b949e; } }
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 72rem; padding: 0 1rem; }
h1 { font-size: 1.4rem; margin: 0 0 .2rem; } h2 { font-size: 1.1rem; margin: 2rem 0 .6rem; }
table { border-collapse: collapse; width: 100%; } .wide { overflow-x: auto; }
th, td { text-align: left; vertical-align: top; padding: .3rem .6rem; border-bottom: 1px solid var(--line); }
th { font-weight: 600; } td.number { text-align: right; font-variant-numeric: tabular-nums; }
.pass { color: var(--pass); } .fail { color: var(--fail); } .error { color: var(--error); }
.skip { color: var(--skip); } .mark { font-weight: 700; }
details { border: 1px solid var(--line); border-radius: .4rem; margin: .4rem 0; padding: .4rem .7rem; }
summary { cursor: pointer; } summary .why { color: inherit; opacity: .8; }
pre { background: var(--soft); padding: .6rem; border-radius: .3rem; white-space: pre-wrap;
  overflow-wrap: anywhere; margin: .3rem 0; font: 13px/1.45 ui-monospace, monospace; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .2rem 1rem; margin: .5rem 0; }
dt { opacity: .7; } dd { margin: 0; overflow-wrap: anywhere; } .reasons { color: var(--fail); }
a { color: inherit; }
"""


def html_page(run: Run, root: Path, comparison: Comparison | None = None) -> str:
    """The page. Files are relative to `root`."""
    body = "\n".join((*_head(run, comparison), *_matrix(run), *_tests(run, root)))
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>Checks: {'passed' if run.verdict.passed else 'failed'}</title>\n"
        f"<style>{_STYLE}</style>\n</head>\n<body>\n{body}\n</body>\n</html>\n"
    )


def _head(run: Run, comparison: Comparison | None) -> Iterator[str]:
    outcome = Status.PASS if run.verdict.passed else Status.FAIL
    word = "passed" if run.verdict.passed else "failed"
    yield f'<h1 class="{outcome}">{_MARKS[outcome]} Checks {word}</h1>'
    told = [f"{run.count(status)} {status.value}" for status in Status if run.count(status)]
    recorded = " as recorded" if run.mode == "replay" else ""
    spent = f"{_usd(run.usd)}{recorded}"
    yield f"<p>{', '.join(told)} · {spent} · {run.duration_s:.1f} s · {escape(run.mode)}</p>"
    lines = [*run.verdict.reasons]
    if comparison:
        lines += [f"new failure: {name}" for name in comparison.new_failures]
        lines += [f"fixed: {name}" for name in comparison.fixed]
        lines += [f"{each.kind}: {each.name}: {each.detail}" for each in comparison.changes]
    if lines:
        yield '<ul class="reasons">' + "".join(f"<li>{escape(line)}</li>" for line in lines) + "</ul>"


def _matrix(run: Run) -> Iterator[str]:
    """Tests by cells, where there is more than one cell."""
    cells = list(dict.fromkeys(result.cell for result in run.results))
    if len(cells) < 2:
        return
    by_place = {(result.file, result.id, result.cell): result for result in run.results}
    yield '<h2>Matrix</h2>\n<div class="wide"><table><thead><tr><th>test</th>'
    yield (
        "".join(f"<th>{escape(cell_label(cell) or 'default')}</th>" for cell in cells)
        + "</tr></thead><tbody>"
    )
    for file, name in dict.fromkeys((result.file, result.id) for result in run.results):
        row = [_matrix_cell(by_place.get((file, name, cell))) for cell in cells]
        yield f"<tr><td>{escape(name)}</td>{''.join(row)}</tr>"
    yield "<tr><th>passed</th>" + "".join(f"<td>{_rate(run, cell)}</td>" for cell in cells) + "</tr>"
    yield "</tbody></table></div>"


def _rate(run: Run, cell: Cell) -> str:
    some = [result for result in run.results if result.cell == cell and result.status is not Status.SKIP]
    return f"{sum(result.status is Status.PASS for result in some)} of {len(some)}"


def _matrix_cell(result: CaseResult | None) -> str:
    if result is None:
        return "<td></td>"
    passed = f" {result.passed}/{len(result.samples)}" if result.samples else ""
    link = f'<a href="#{_anchor(result)}">{_MARKS[result.status]}{passed}</a>'
    return f'<td class="{result.status}">{link}</td>'


def _tests(run: Run, root: Path) -> Iterator[str]:
    yield "<h2>Tests</h2>"
    order = (Status.FAIL, Status.ERROR, Status.SKIP, Status.PASS)
    for result in sorted(run.results, key=lambda each: order.index(each.status)):
        opened = " open" if result.status in (Status.FAIL, Status.ERROR) else ""
        place = f"{Path(os.path.relpath(result.file, root)).as_posix()}:{result.line}"
        why = result.why
        said = f' <span class="why">{escape(why)}</span>' if why else ""
        yield (
            f'<details id="{_anchor(result)}"{opened}><summary><span class="mark {result.status}">'
            f"{_MARKS[result.status]}</span> <b>{escape(result.name)}</b> <small>{escape(place)}</small>"
            f"{said}</summary>"
        )
        for number, sample in enumerate(result.samples, start=1):
            if len(result.samples) > 1:
                yield f'<h3 class="{sample.status}">{_MARKS[sample.status]} repeat {number}</h3>'
            yield from _sample(sample)
        yield "</details>"


def _sample(sample: Sample) -> Iterator[str]:
    if sample.problem:
        yield f'<p class="error">{escape(sample.problem)}</p>'
    if sample.findings:
        yield '<div class="wide"><table><thead><tr><th></th><th>assertion</th><th>expected</th>'
        yield "<th>actual</th><th></th></tr></thead><tbody>"
        yield from map(_finding, sample.findings)
        yield "</tbody></table></div>"
    if sample.answer is not None:
        yield from _answer(sample.answer)


def _finding(finding: Finding) -> str:
    status = {True: Status.PASS, False: Status.FAIL, None: Status.ERROR}[finding.holds]
    why = "" if finding.holds else finding.reason
    return (
        f'<tr><td class="mark {status}">{_MARKS[status]}</td><td>{escape(finding.kind)}</td>'
        f"<td>{escape(finding.expected)}</td><td>{escape(finding.actual)}</td><td>{escape(why)}</td></tr>"
    )


def _answer(answer: Answer) -> Iterator[str]:
    known = [
        ("question", answer.question),
        ("model", f"{answer.model}{f' ({answer.routed})' if answer.routed else ''}"),
        ("search terms", " | ".join(answer.search_terms)),
        ("tools", ", ".join(run.call.name for run in answer.tools)),
        ("cost", _usd(answer.usd) + (" as recorded" if answer.replayed else "")),
        ("latency", f"{answer.latency_ms:.0f} ms{' as recorded' if answer.replayed else ''}"),
    ]
    rows = "".join(f"<dt>{name}</dt><dd>{escape(value)}</dd>" for name, value in known if value)
    yield f"<dl>{rows}</dl>"
    if answer.text:
        yield f"<pre>{escape(answer.text)}</pre>"
    if answer.passages:
        listed = "".join(
            f"<details><summary>[{p.rank}] {escape(p.source.place)} · {p.score:.2f}</summary>"
            f"<pre>{escape(p.text)}</pre></details>"
            for p in sorted(answer.passages, key=lambda passage: passage.rank)
        )
        count = len(answer.passages)
        yield f"<details><summary>{count} passage{'s' * (count != 1)}</summary>{listed}</details>"


def _anchor(result: CaseResult) -> str:
    return escape(f"{result.file.stem}-{result.name}".replace(" ", "_"), quote=True)


def _usd(amount: object) -> str:
    return "unpriced" if amount is None else f"${amount:.4f}"
