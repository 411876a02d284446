"""A run as JUnit XML, the form that CI servers read.

The format is that of the `junit-10.xsd` of Jenkins' xUnit plugin, without extensions.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import groupby
from xml.etree import ElementTree

from aivax_cli.checks.results import CaseResult, Run, Sample, Status

_NOT_XML = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def junit_xml(run: Run) -> str:
    """The report: a suite for each file of checks, a case for each test and cell."""
    root = ElementTree.Element("testsuites", name="aivax check", time=f"{run.duration_s:.3f}")
    for file, results in groupby(run.results, key=lambda result: result.file):
        some = list(results)
        suite = ElementTree.SubElement(
            root,
            "testsuite",
            name=file.stem,
            tests=str(len(some)),
            failures=_count(some, Status.FAIL),
            errors=_count(some, Status.ERROR),
            skipped=_count(some, Status.SKIP),
        )
        for result in some:
            _case(suite, result)
    ElementTree.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(root, "unicode") + "\n"


def _count(results: list[CaseResult], status: Status) -> str:
    return str(sum(result.status is status for result in results))


def _case(suite: ElementTree.Element, result: CaseResult) -> None:
    seconds = sum(sample.answer.latency_ms for sample in result.samples if sample.answer) / 1000
    case = ElementTree.SubElement(
        suite,
        "testcase",
        classname=result.file.stem,
        name=_clean(result.name),
        time=f"{seconds:.3f}",
        file=result.file.name,
        line=str(result.line),
    )
    if result.status is Status.SKIP:
        ElementTree.SubElement(case, "skipped", message=_clean(result.reason))
    elif result.status is not Status.PASS and result.shown is not None:
        tag = "failure" if result.status is Status.FAIL else "error"
        told = ElementTree.SubElement(case, tag, message=_clean(result.why))
        told.text = _clean("\n".join(_lines(result.shown)))


def _lines(sample: Sample) -> Iterator[str]:
    if sample.problem:
        yield sample.problem
    for finding in sample.findings:
        if not finding.holds:
            yield f"line {finding.line}: {finding.kind}: {finding.reason}"
            yield f"  expected: {finding.expected}"
            yield f"  actual:   {finding.actual}"
    if sample.answer is not None:
        yield f"question: {sample.answer.question}"
        yield f"answer: {sample.answer.text}"


def _clean(text: str) -> str:
    """XML 1.0 has no place for most control characters."""
    return _NOT_XML.sub("�", text)
