"""The server with clients that leave and an endpoint that fails: the benchmark of that, for a moment."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from support.patience import PATIENT_S

SOAK = Path(__file__).parents[2] / "benchmarks" / "serve_soak.py"


def test_nothing_is_lost_doubled_or_left_over_under_load():
    """Whatever the benchmark finds wrong of charges, clients, tasks, sockets or memory is its output."""
    done = subprocess.run(
        [sys.executable, SOAK, "--seconds", "4", "--streams", "20", "--no-wait"],
        capture_output=True,
        text=True,
        timeout=4 * PATIENT_S,
        check=False,
    )
    assert done.stdout.endswith("\n0 faults\n"), done.stdout + done.stderr
