"""What several workers count is one answer, whichever of them is asked."""

from __future__ import annotations

import os
import re
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from support.serving import gateway, served, until
from support.upstream import Upstream, says

ASKED = {"model": "g", "prompt": "Hi"}
REQUESTS = 12


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    root = tmp_path_factory.mktemp("metrics")
    temporary = root / "tmp"
    temporary.mkdir()
    with Upstream(says("Hello there.")) as upstream:
        gateway(root, upstream, "g")
        with served(root, "--workers", "2", env={"TMPDIR": str(temporary)}) as server:
            with ThreadPoolExecutor(6) as pool:
                codes = [found.status_code for found in pool.map(server.post, [ASKED] * REQUESTS)]
            assert codes == [200] * REQUESTS
            yield server


def values(text: str, name: str) -> dict[str, float]:
    """The samples of a name by their worker, summed."""
    found: dict[str, float] = {}
    for labels, value in re.findall(rf"^{name}\{{(.*)\}} (\S+)$", text, re.MULTILINE):
        worker = re.search(r'worker="(\d+)"', labels)
        assert worker is not None
        found[worker[1]] = found.get(worker[1], 0) + float(value)
    return found


def told_by_both(running) -> str:
    """What is told once no worker is too busy to say what it counts."""
    told: list[str] = []

    def both() -> bool:
        told.append(running.get("/metrics").text)
        return values(told[-1], "aivax_requests_in_flight").keys() == {"1", "2"}

    until(both)
    return told[-1]


def test_every_answer_has_the_counters_of_every_worker(running):
    for _ in range(6):  # a connection each, and so any worker
        text = told_by_both(running)
        assert sum(values(text, "aivax_requests_total").values()) == REQUESTS
        assert sum(values(text, "aivax_request_seconds_count").values()) == REQUESTS
        assert sum(values(text, "aivax_tokens_total").values()) == 12 * REQUESTS


def test_the_samples_of_a_name_stand_together(running):
    """As Prometheus' format wants it: each name is described once, and its samples follow at once."""
    lines = running.get("/metrics").text.splitlines()
    described = [line.split()[2] for line in lines if line.startswith("# TYPE")]
    families = [re.split(r"[{ ]", line)[0] for line in lines if not line.startswith("#")]
    families = [re.sub("_(bucket|sum|count)$", "", name) for name in families]
    order = list(dict.fromkeys(families))
    assert len(described) == len(set(described)) and order == [name for name in described if name in order]
    assert families == sorted(families, key=order.index)


def test_a_worker_that_is_replaced_counts_from_the_start_and_holds_up_nobody(running):
    children = Path(f"/proc/{running.process.pid}/task/{running.process.pid}/children")
    before = children.read_text(encoding="ascii").split()
    os.kill(int(before[1]), signal.SIGKILL)
    until(lambda: len(set(children.read_text(encoding="ascii").split()) - {before[1]}) == 2)
    assert values(told_by_both(running), "aivax_requests_total").get("2", 0) == 0


def test_where_the_workers_meet_is_nobody_elses_and_is_gone_at_the_end(tmp_path):
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    with Upstream(says("Hello there.")) as upstream:
        gateway(tmp_path, upstream, "g")
        with served(tmp_path, "--workers", "2", env={"TMPDIR": str(temporary)}) as server:
            (folder,) = temporary.glob("aivax-*")
            assert folder.stat().st_mode & 0o777 == 0o700
            assert {each.name for each in folder.iterdir()} == {"1.sock", "2.sock"}
            server.terminate()
    assert list(temporary.glob("aivax-*")) == []
