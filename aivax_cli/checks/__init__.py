"""Checks of a gateway: YAML cases → turns → verdicts and reports.

loading     checks/*.yaml, its datasets → cases, one for each test and cell of the matrix
running     a case → its turn, or its search alone → an answer, several at once
assertions  an answer → findings: rules first, the judge only where they hold
gating      findings of all repeats → pass, fail, error, skip, and the gate of the whole run
reports     results → JSON, JUnit, Markdown, GitHub's annotations, one HTML page
"""
