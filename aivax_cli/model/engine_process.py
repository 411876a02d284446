"""The process that runs llama.cpp's own server: `python -P -m aivax_cli.model.engine_process PARENT_PID`.

It talks with its parent in lines of JSON. On stdout: `{"imported": true}`, then, when an order has come on
stdin, `{"ready": "http://127.0.0.1:PORT"}`; or `{"failed": KIND, "detail": TEXT}` and exit code 1. The order
is `{"model": PATH, "alias": NAME, "key": KEY, "context_tokens": N}`. llama.cpp's own words go to stderr.

It ends when its stdin does, which is when its parent ends, however that came about.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import IO, Any

# Prompts whose state is kept, so that a rewrite between two turns does not cost the chat its cache. llama.cpp
# would keep 8 GiB of them.
_PROMPT_CACHE_MIB = 256
_PARENT_POLL_S = 1.0


def main() -> int:
    """Runs until the parent ends; returns 1 if the engine cannot be started."""
    parent = int(sys.argv[1])
    _die_with(parent)
    # libgomp reads this once, when it is loaded. Its default is to spin, and on a machine that has other work
    # the threads then spin against each other: 1.6 tokens/s instead of 72.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    try:
        import xllamacpp
    except ImportError as error:
        missing = isinstance(error, ModuleNotFoundError) and error.name == "xllamacpp"
        return _fail(replies, "missing" if missing else "unloadable", str(error))
    _reply(replies, imported=True)
    line = sys.stdin.readline()
    if not line:
        return 0
    threading.Thread(target=_exit_with_stdin, daemon=True).start()
    try:
        server = xllamacpp.Server(_parameters(xllamacpp, json.loads(line)))
    except (RuntimeError, ValueError) as error:
        return _fail(replies, "load", str(error))
    _reply(replies, ready=server.listening_address)
    while os.name == "nt" or os.getppid() == parent:
        time.sleep(_PARENT_POLL_S)
    return 0


def usable_cores() -> int:
    """The cores that this process may use: its affinity, cut by a container's CPU quota (cgroup 2)."""
    if sys.platform != "linux":
        return os.cpu_count() or 1
    cores = len(os.sched_getaffinity(0))
    with contextlib.suppress(OSError, ValueError):
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text(encoding="ascii").split()
        cores = min(cores, max(1, round(int(quota) / int(period))))
    return cores


def _parameters(xllamacpp: Any, order: dict[str, Any]) -> Any:
    parameters = xllamacpp.CommonParams()
    parameters.model.path = order["model"]
    parameters.model_alias = {order["alias"]}
    # Other users of the machine, and web pages in the user's browser, can reach a loopback port.
    parameters.api_keys = [order["key"]]
    parameters.hostnames = ["127.0.0.1"]
    parameters.port = 0
    parameters.n_ctx = order["context_tokens"]
    parameters.n_parallel = 1
    parameters.cache_ram_mib = _PROMPT_CACHE_MIB
    parameters.cpuparams.n_threads = parameters.cpuparams_batch.n_threads = usable_cores()
    parameters.use_jinja = True
    parameters.ui = False
    parameters.offline = True
    # The first prompt warms up as well; fitting to a graphics card's memory loads the model twice.
    parameters.warmup = False
    graphics = xllamacpp.ggml_backend_dev_type
    kinds = (graphics.GGML_BACKEND_DEVICE_TYPE_GPU, graphics.GGML_BACKEND_DEVICE_TYPE_IGPU)
    parameters.fit_params = any(device["type"] in kinds for device in xllamacpp.get_device_info())
    return parameters


def _reply(replies: IO[str], **message: object) -> None:
    replies.write(json.dumps(message) + "\n")
    replies.flush()


def _fail(replies: IO[str], kind: str, detail: str) -> int:
    _reply(replies, failed=kind, detail=detail)
    return 1


def _exit_with_stdin() -> None:
    """Ends the process at once when the parent has closed the pipe."""
    while os.read(0, 4096):
        pass
    os._exit(0)


def _die_with(parent: int) -> None:
    """On Linux, has the kernel kill this process with its parent: while a model loads, no Python code runs.

    The signal comes when the thread that started this process ends, so that thread must live on.
    """
    if sys.platform != "linux":
        return
    import ctypes

    pr_set_pdeathsig = 1
    ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL)
    if os.getppid() != parent:
        sys.exit(0)


if __name__ == "__main__":
    sys.exit(main())
