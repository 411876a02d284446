"""A headless Chromium, driven over its debugging protocol: a page as a person sees and uses it."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from support.patience import PATIENT_S
from websockets.sync.client import ClientConnection, connect

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
"""The browser of this machine, None where there is none."""


class Page:
    """One tab. `requested` are the addresses that it has asked for, `complaints` what went to its console."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection
        self._number = 0
        self.requested: list[str] = []
        self.complaints: list[str] = []

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Calls a method of the protocol, and notes the events that come meanwhile."""
        self._number += 1
        self._connection.send(json.dumps({"id": self._number, "method": method, "params": parameters}))
        while True:
            message = json.loads(self._connection.recv(timeout=PATIENT_S))
            if message.get("id") == self._number:
                assert "error" not in message, message
                found: dict[str, Any] = message["result"]
                return found
            self._note(message.get("method"), message.get("params", {}))

    def value(self, expression: str) -> Any:
        """The value of a JavaScript expression in the page."""
        return self.call("Runtime.evaluate", expression=expression, returnByValue=True)["result"].get("value")

    def wait(self, expression: str, seconds: float = PATIENT_S) -> None:
        """Waits until an expression holds."""
        until = time.monotonic() + seconds
        while not self.value(f"Boolean({expression})"):
            assert time.monotonic() < until, (expression, self.value("document.body.innerText"))
            time.sleep(0.05)

    def type(self, text: str) -> None:
        """Types a text where the focus is."""
        self.call("Input.insertText", text=text)

    def press(self, key: str, code: int, text: str = "") -> None:
        """Presses a key, by its name and its number."""
        about = {"key": key, "code": key, "windowsVirtualKeyCode": code}
        self.call("Input.dispatchKeyEvent", type="keyDown", text=text, **about)
        self.call("Input.dispatchKeyEvent", type="keyUp", **about)

    def colours(self, scheme: str) -> None:
        """Prefers `light` or `dark`."""
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.call("Emulation.setEmulatedMedia", features=features)

    def picture(self, file: Path) -> None:
        """Takes a screenshot, as PNG."""
        file.write_bytes(base64.b64decode(self.call("Page.captureScreenshot")["data"]))

    def _note(self, method: str | None, about: dict[str, Any]) -> None:
        if method == "Network.requestWillBeSent":
            self.requested.append(about["request"]["url"])
        elif method == "Log.entryAdded":
            self.complaints.append(about["entry"]["text"])
        elif method == "Runtime.exceptionThrown":
            self.complaints.append(str(about["exceptionDetails"]))


@contextmanager
def page(url: str, profile: Path) -> Iterator[Page]:
    """A tab with the page of this address, in a browser that has a profile of its own."""
    assert CHROMIUM is not None
    options = ("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--window-size=900,760")
    browser = subprocess.Popen(
        [CHROMIUM, *options, f"--user-data-dir={profile}", "--remote-debugging-port=0", "about:blank"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert browser.stderr is not None
        port = (
            next(line for line in browser.stderr if "DevTools listening" in line).split(":")[2].split("/")[0]
        )
        with connect(_first_tab(port), max_size=None, proxy=None) as connection:
            tab = Page(connection)
            for part in ("Page", "Network", "Log", "Runtime"):
                tab.call(f"{part}.enable")
            tab.call("Page.navigate", url=url)
            tab.wait("document.readyState === 'complete'")
            yield tab
    finally:
        browser.terminate()
        browser.wait(PATIENT_S)


def _first_tab(port: str) -> str:
    import httpx

    tabs = httpx.get(f"http://127.0.0.1:{port}/json", timeout=PATIENT_S, trust_env=False).json()
    return str(next(tab["webSocketDebuggerUrl"] for tab in tabs if tab["type"] == "page"))
