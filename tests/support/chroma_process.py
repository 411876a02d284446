"""A real Chroma server on loopback, for tests of `store:`."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
from support.patience import PATIENT_S
from support.ports import free_port

_CALL: dict[str, Any] = {"timeout": PATIENT_S, "trust_env": False}
DEFAULT = "tenants/default_tenant/databases/default_database"


class ChromaProcess:
    """`chroma run` with its data in a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._port = 0
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def start(self) -> None:
        """Starts it, on the same port and data as before, and waits until it answers."""
        if self._port:
            assert self._answers(), "chroma run ended at once"
            return
        for _ in range(5):  # another process may take the free port first
            self._port = free_port()
            if self._answers():
                return
        raise AssertionError("chroma run ended at once on five ports")

    def _answers(self) -> bool:
        """Starts it; whether it answers, or has ended."""
        chroma = shutil.which("chroma", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
        assert chroma, "chromadb's command is not installed"
        self._process = subprocess.Popen(
            [chroma, "run", "--path", str(self._folder), "--host", "127.0.0.1", "--port", str(self._port)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "ANONYMIZED_TELEMETRY": "False"},
        )
        end = time.monotonic() + PATIENT_S
        while time.monotonic() < end:
            if self._process.poll() is not None:
                return False
            try:
                beat = httpx.get(f"{self.url}/api/v2/heartbeat", timeout=5, trust_env=False)
                if beat.is_success and "heartbeat" in beat.text:
                    return True
            except httpx.TransportError:
                pass
            time.sleep(0.02)
        raise AssertionError(f"chroma run does not answer within {PATIENT_S:g} s")

    def kill(self) -> None:
        """Ends it as a power cut would."""
        assert self._process is not None
        self._process.send_signal(signal.SIGKILL)
        self._process.wait(PATIENT_S)

    def pause(self) -> None:
        """Makes it accept connections and never answer."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def close(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self.resume()
            self._process.terminate()
            self._process.wait(PATIENT_S)

    def collections(self) -> dict[str, str]:
        """The ids of all collections by name."""
        listed = httpx.get(f"{self.url}/api/v2/{DEFAULT}/collections?limit=10000", **_CALL).json()
        return {each["name"]: each["id"] for each in listed}

    def post(self, name: str, what: str, body: dict[str, object]) -> dict[str, object]:
        """Does something to a collection that the program did not ask for."""
        where = f"{self.url}/api/v2/{DEFAULT}/collections/{self.collections()[name]}/{what}"
        done = httpx.post(where, json=body, **_CALL)
        done.raise_for_status()
        return dict(done.json())

    def ids(self, name: str) -> set[int]:
        """The numbers of the vectors in a collection."""
        return {int(each) for each in self.post(name, "get", {"include": []})["ids"]}

    def remove(self, name: str) -> None:
        """Removes a collection behind the program's back."""
        httpx.delete(f"{self.url}/api/v2/{DEFAULT}/collections/{name}", **_CALL).raise_for_status()
