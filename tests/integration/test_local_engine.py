"""The embedded engine with a real model: the smallest one, which is there for transport tests."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from contextlib import aclosing
from pathlib import Path

import pytest
from support.calling import QUICK, call, collect, target
from support.patience import PATIENT_S

from aivax_cli.assets.store import AssetStore
from aivax_cli.core.errors import AssetError, ModelError
from aivax_cli.core.types import Message, ModelCall, ModelText
from aivax_cli.model.client import HttpChatModel
from aivax_cli.model.local import LocalEngine, engine_fault

NAME = "smollm2-135m"


@pytest.fixture(scope="module")
def weights() -> Path:
    return AssetStore.from_environment(os.environ).path(NAME)


@pytest.fixture(scope="module")
def engine(weights: Path):
    with LocalEngine(lambda name: weights, os.environ, context_tokens=1024) as running:
        yield running


def local_call(text: str, *, max_tokens: int = 8) -> ModelCall:
    model = target("", provider="local", name=NAME, label=f"@local/{NAME}", free=True)
    return call(
        model, Message("user", text), parameters={"temperature": 0, "max_completion_tokens": max_tokens}
    )


def ask_local(engine: LocalEngine, text: str, *, max_tokens: int = 8):
    async def run():
        async with HttpChatModel({}, local=engine, retry=QUICK) as model:
            return await collect(model, local_call(text, max_tokens=max_tokens))

    return asyncio.run(run())


def is_running(pid: int) -> bool:
    """Whether a process is there and is no zombie, which a container without an init may keep."""
    done = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return done.stdout.strip() not in ("",) and not done.stdout.strip().startswith("Z")


def cpu_s(pid: int) -> float:
    """The processor time of a process so far, in hundredths."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


def wait_gone(pid: int, within_s: float = PATIENT_S) -> bool:
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        if not is_running(pid):
            return True
        time.sleep(0.05)
    return False


def fake_package(folder: Path, source: str) -> dict[str, str]:
    """An environment in which `import xllamacpp` runs `source`."""
    (folder / "xllamacpp.py").write_text(source)
    return {**os.environ, "PYTHONPATH": str(folder)}


def test_a_local_model_answers_with_its_usage(engine: LocalEngine) -> None:
    answer = ask_local(engine, "What is the capital of France?")
    assert answer.text
    assert (answer.end.model, answer.end.finish_reason) == (NAME, "length")
    assert answer.end.usage is not None
    assert answer.end.usage.output_tokens == 8


def test_the_beginning_that_two_turns_share_is_not_read_again(engine: LocalEngine) -> None:
    story = "Once upon a time there was a fox. " * 10
    ask_local(engine, story + "Who was there?", max_tokens=1)
    answer = ask_local(engine, story + "What was there?", max_tokens=1)
    assert answer.end.usage is not None
    assert answer.end.usage.cached_input_tokens > answer.end.usage.input_tokens


def test_a_prompt_over_the_context_is_refused_with_both_sizes(engine: LocalEngine) -> None:
    with pytest.raises(ModelError, match=r"the local model refused .* exceeds .* \(1024 tokens\)") as caught:
        ask_local(engine, "word " * 2000)
    assert caught.value.fix == "shorten the conversation, or lower knowledge.top or knowledge.max_tokens"


def test_an_answer_that_nobody_reads_any_more_is_not_finished(engine: LocalEngine) -> None:
    async def run() -> float:
        async with HttpChatModel({}, local=engine) as model:
            before = cpu_s(engine.pids()[NAME])
            async with aclosing(model.stream(local_call("Count to a thousand.", max_tokens=900))) as stream:
                assert isinstance(await anext(stream), ModelText)
            await collect(model, local_call("Hello", max_tokens=1))
            return cpu_s(engine.pids()[NAME]) - before

    asyncio.run(engine.endpoint(NAME))
    assert asyncio.run(run()) < 1.5  # it is 0.1, and 4 for the whole answer


def test_the_port_answers_nobody_without_the_key(engine: LocalEngine) -> None:
    endpoint = asyncio.run(engine.endpoint(NAME))
    body = json.dumps({"messages": [{"role": "user", "content": "x"}]}).encode()
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(urllib.request.Request(f"{endpoint.base_url}/chat/completions", data=body))
    caught.value.close()
    assert caught.value.code == 401
    assert endpoint.key is not None
    assert endpoint.key not in repr(endpoint)


def test_ctrl_c_in_the_terminal_does_not_reach_the_engine(engine: LocalEngine) -> None:
    asyncio.run(engine.endpoint(NAME))
    assert os.getpgid(engine.pids()[NAME]) != os.getpgid(0)


def test_an_engine_that_died_is_started_again(engine: LocalEngine) -> None:
    asyncio.run(engine.endpoint(NAME))
    first = engine.pids()[NAME]
    os.kill(first, signal.SIGKILL)
    assert wait_gone(first)
    assert ask_local(engine, "Hello", max_tokens=1).end.broken is None
    assert engine.pids()[NAME] != first


def test_two_calls_at_once_start_one_process_and_closing_ends_it(weights: Path) -> None:
    asked = []

    def path(name: str) -> Path:
        asked.append(name)
        return weights

    async def start_twice(engine: LocalEngine) -> None:
        await asyncio.gather(engine.endpoint(NAME), engine.endpoint(NAME))

    with LocalEngine(path, os.environ, context_tokens=512) as engine:
        asyncio.run(start_twice(engine))
        (pid,) = engine.pids().values()
    assert asked == [NAME]
    assert not is_running(pid)


def test_closing_does_not_wait_for_a_download(weights: Path) -> None:
    begun, released = threading.Event(), threading.Event()

    def slow(name: str) -> Path:
        begun.set()
        released.wait(2 * PATIENT_S)
        return weights

    async def give_up(engine: LocalEngine) -> None:
        waiting = asyncio.create_task(engine.endpoint(NAME))
        assert await asyncio.to_thread(begun.wait, PATIENT_S)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting

    engine = LocalEngine(slow, os.environ)
    start = time.monotonic()
    asyncio.run(give_up(engine))
    engine.close()
    assert time.monotonic() - start < PATIENT_S
    assert not released.is_set()
    released.set()
    assert engine.pids() == {}


PARENT = """
import asyncio, os, sys, time
from pathlib import Path
from aivax_cli.model.local import LocalEngine
engine = LocalEngine(lambda name: Path(sys.argv[1]), os.environ, context_tokens=512)
asyncio.run(engine.endpoint("m"))
print(engine.pids()["m"], flush=True)
{then}
"""


@pytest.mark.parametrize(
    ("then", "ending"),
    [
        ("time.sleep(60)", signal.SIGKILL),
        ("time.sleep(60)", signal.SIGTERM),
        ("os._exit(1)", None),
        ("raise RuntimeError('a bug')", None),
    ],
)
def test_the_engine_never_outlives_its_parent(
    weights: Path, then: str, ending: signal.Signals | None
) -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT.format(then=then), str(weights)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert parent.stdout is not None
    with parent.stdout as out:
        pid = int(out.readline())
        if ending is not None:
            parent.send_signal(ending)
        parent.wait(PATIENT_S)
    assert wait_gone(pid)


# A model that loads for ever and lets no Python code run meanwhile, as llama.cpp does while it loads.
LOADING = """
import ctypes
from unittest.mock import MagicMock
CommonParams = ggml_backend_dev_type = MagicMock()
get_device_info = list
def Server(parameters):
    ctypes.PyDLL(None).sleep(60)
"""

LOADING_PARENT = """
import os
from pathlib import Path
from aivax_cli.model.engine import EngineProcess
engine = EngineProcess(os.environ)
engine.wait_imported()
print(engine.pid, flush=True)
engine.load(Path("m"), alias="m", key="k", context_tokens=512, timeout_s=60)
"""


def test_the_engine_does_not_outlive_its_parent_while_it_loads(tmp_path: Path) -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", LOADING_PARENT],
        env=fake_package(tmp_path, LOADING),
        stdout=subprocess.PIPE,
        text=True,
    )
    assert parent.stdout is not None
    with parent.stdout as out:
        pid = int(out.readline())
        time.sleep(0.2)
        parent.kill()
        parent.wait(PATIENT_S)
    # Only Linux can end it at once; elsewhere it ends when the loading does.
    assert wait_gone(pid, within_s=PATIENT_S / 2 if sys.platform == "linux" else 70)


def test_a_missing_engine_says_what_to_install_before_anything_is_downloaded(tmp_path: Path) -> None:
    environ = fake_package(tmp_path, "raise ModuleNotFoundError('no', name='xllamacpp')")
    asked = []

    def path(name: str) -> Path:
        asked.append(name)
        return Path(name)

    with LocalEngine(path, environ) as engine, pytest.raises(ModelError) as caught:
        asyncio.run(engine.endpoint(NAME))
    assert str(caught.value) == (
        'the local engine is not installed (package xllamacpp); pip install "aivax[local]"'
    )
    assert asked == []


def test_a_missing_libgomp_names_the_system_package(tmp_path: Path) -> None:
    message = "libgomp.so.1: cannot open shared object file: No such file or directory"
    fault = engine_fault(fake_package(tmp_path, f"raise ImportError({message!r})"))
    assert fault is not None
    assert str(fault).startswith(
        "the local engine needs the system library libgomp.so.1; install it: apt-get"
    )
    assert "libgomp1" in str(fault)


def test_an_engine_that_crashes_on_import_shows_the_end_of_its_log(tmp_path: Path) -> None:
    fault = engine_fault(fake_package(tmp_path, "raise SystemError('illegal instruction')"))
    assert fault is not None
    assert "illegal instruction" in str(fault)


def test_a_machine_with_the_engine_has_no_fault() -> None:
    assert engine_fault(os.environ) is None


def test_a_damaged_file_is_named_with_llama_cpp_s_reason(tmp_path: Path, weights: Path) -> None:
    damaged = tmp_path / "cut.gguf"
    with weights.open("rb") as whole:
        damaged.write_bytes(whole.read(100_000))
    with LocalEngine(lambda name: damaged, os.environ) as engine:
        with pytest.raises(ModelError) as caught:
            asyncio.run(engine.endpoint("cut"))
        assert engine.pids() == {}
    assert str(caught.value) == (
        f"the local engine could not load 'cut' ({damaged}, 0 MiB): "
        "gguf_init_from_reader: failed to read key-value pairs; "
        "check that the file is a whole GGUF file of a chat model"
    )


def test_an_engine_that_takes_too_long_is_ended(tmp_path: Path, weights: Path) -> None:
    with LocalEngine(lambda name: weights, os.environ, load_timeout_s=0.01) as engine:
        with pytest.raises(ModelError, match=r"it took more than 0\.01 s"):
            asyncio.run(engine.endpoint(NAME))
        assert engine.pids() == {}


def test_weights_that_cannot_be_had_are_the_error_that_is_seen() -> None:
    def no_network(name: str) -> Path:
        raise AssetError(f"{name} cannot be fetched")

    with LocalEngine(no_network, os.environ) as engine, pytest.raises(AssetError, match="cannot be fetched"):
        asyncio.run(engine.endpoint(NAME))
