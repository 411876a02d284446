"""The program itself, as a subprocess with a home of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from support.patience import PATIENT_S

AS_AN_ORDINARY_USER = """
import ctypes, os, runpy, sys
if os.geteuid() == 0:  # root is bound by permissions, too, once it may not override them
    for capability in (1, 2):  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH; 24 is PR_CAPBSET_DROP
        ctypes.CDLL(None).prctl(24, capability, 0, 0, 0)
os.execv(sys.executable, [sys.executable, "-m", "aivax_cli", *sys.argv[1:]])
"""
"""A program that is `aivax …` with the rights of an ordinary user, also for root. For Linux."""

_KEPT = ("PATH", "AIVAX_LANG", "LANG", "LC_ALL", "SYSTEMROOT", "TMPDIR")


@dataclass(frozen=True, slots=True)
class Done:
    """What a run of the program left behind."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


def aivax(
    *arguments: str,
    cwd: Path,
    home: Path,
    env: Mapping[str, str] | None = None,
    stdin: str | None = None,
    timeout_s: float = 2 * PATIENT_S,
) -> Done:
    """Runs `aivax …` in `cwd`; nothing of this machine's user is seen: home, cache, keys or variables."""
    environ = {name: os.environ[name] for name in _KEPT if name in os.environ}
    environ |= {"HOME": str(home), "AIVAX_CACHE_DIR": str(home / "cache"), "COLUMNS": "200"}
    environ |= env or {}
    done = subprocess.run(
        [sys.executable, "-m", "aivax_cli", *arguments],
        cwd=cwd,
        env=environ,
        input=stdin,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=timeout_s,
        check=False,
    )
    return Done(done.returncode, done.stdout, done.stderr)
