"""The recorded session and the pictures in docs/: the real program, against an endpoint on loopback.

`python tests/support/recordings.py` makes them anew. What the model says is fixed here; everything else is
what the program does: it searches with the embedded model, counts, and prices.
"""

from __future__ import annotations

import codecs
import json
import os
import re
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).parents[2]
sys.path.insert(0, str(REPOSITORY / "tests"))

from support.in_process import aivax_here  # noqa: E402
from support.knowledge import write_files  # noqa: E402
from support.patience import PATIENT_S  # noqa: E402
from support.terminal_session import CTRL_C, ENTER, TerminalSession  # noqa: E402
from support.terminal_svg import PictureScreen, svg  # noqa: E402
from support.upstream import Answer, Request, Upstream, chunk, sse, usage  # noqa: E402
from support.workspaces import write_gateway  # noqa: E402

from aivax_cli.assets.store import default_cache_dir  # noqa: E402
from aivax_cli.core.types import Charge  # noqa: E402
from aivax_cli.usage.ledger import LEDGER_FILE, SqliteLedger  # noqa: E402

COLUMNS, ROWS = 100, 32
DOCUMENTS = {
    "docs/returns.md": "# Returns\n\n## Period\n\nGoods can be returned within 30 days of delivery, unworn"
    " and with their label.\n\n## Refund\n\nThe money is paid back to the same card within five days.\n",
    "docs/shipping.md": "# Shipping\n\n## Returns\n\nSending goods back is free in Portugal and Spain, costs"
    " 6 euros elsewhere in the EU, and 14 euros in other countries.\n\n## Express\n\nExpress delivery costs"
    " 12 euros and takes one working day.\n",
    "docs/damage.md": "# Damaged goods\n\n## On arrival\n\nGoods that arrive damaged are replaced at no cost."
    " Send a photograph within 7 days.\n",
    "docs/sizes.md": "# Sizes\n\n## Jackets\n\nJackets come small: take one size more than usual.\n",
}
CHECKS = """\
gateway: shop
tests:
  - id: return-period
    input: How long may I return a jacket?
    retrieve: {first: returns.md}
    expect: [contains: 30 days]
  - id: size
    input: Which size of jacket should I take?
    retrieve: {must: [sizes.md]}
    expect: [contains: one size more]
  - id: damaged
    input: It arrived torn. What now?
    retrieve: {must: [damage.md]}
    expect: [contains: photograph, words: {max: 40}]
  - id: opening-hours
    input: When is the shop in Lisbon open?
    expect: [refusal: true]
"""
FIRST = "How long may I return a jacket, and what does it cost?"
SHORT = "How long may I return a jacket?"
SECOND = "And if it arrives torn?"
TORN = (
    "Then it is **replaced at no cost** [1]. Send a photograph within *7 days* of delivery, and keep the"
    " parcel until the courier has come."
)
ANSWERS = {
    "and what does it cost": """\
Within **30 days** of delivery, unworn and with its label [2]. Sending it back costs [1]:

| From | Cost |
|---|---:|
| Portugal, Spain | free |
| elsewhere in the EU | €6 |
| other countries | €14 |

The courier is ordered like this:

```sh
curl https://shop.example/returns -d order=4711
```
""",
    "return a jacket": "Within 30 days of delivery, unworn and with its label [1].",
    "size of jacket": "Jackets come small: take one size more than usual [1].",
    "torn": TORN,
    "Lisbon": "The shop in Lisbon is open from ten to seven.",
}
# A question is rewritten with those before it: the latest comes first.
TERMS = {
    "torn": "jacket arrived damaged",
    "and what does it cost": "return period jacket\ncost of sending goods back",
    "return a jacket": "return period",
    "size of jacket": "size of jackets",
    "Lisbon": "opening hours Lisbon",
}
_LINK = re.compile(r"\x1b\]8;[^;\x1b]*;[^\x1b]*\x1b\\")
_LONGEST_PAUSE_S = 1.5
_WORD_S = 0.045


def model(request: Request) -> Answer:
    """The small model rewrites, the other one answers, word by word."""
    last = str(request.body["messages"][-1]["content"])
    small = request.body["model"] == "gpt-5-nano"
    text = next((text for words, text in (TERMS if small else ANSWERS).items() if words in last), "jacket")
    words = [*re.findall(r"\s*\S+\s*?", text), "\n"]
    if text == TORN and last.endswith(SECOND):
        # This one is interrupted before its end, however late the interruption.
        return sse([chunk(word) for word in words[:14]], end=None, ending="stall", pause_s=_WORD_S)
    name, prompt = request.body["model"], sum(len(str(m["content"])) for m in request.body["messages"]) // 4
    tail = {"model": name, "choices": [], "usage": usage(prompt, len(words) * 4 // 3)}
    events = [*(chunk(word, model=name) for word in words), chunk(finish="stop", model=name), tail]
    return sse(events, pause_s=0.0 if small else _WORD_S)


def shop(root: Path, upstream: Upstream) -> None:
    """A workspace with documents, a gateway over them, checks, and two weeks of usage."""
    # The provider's own address is not asked: nobody's key is needed, and the prices are those of its models.
    provider = f"providers: {{openai: {{base_url: {upstream.url}, free: false}}}}\n"
    write_files(root, {**DOCUMENTS, "checks/shop.yaml": CHECKS, "aivax.yaml": provider})
    write_gateway(
        root,
        "shop",
        '"@openai/gpt-5-mini"',
        more="instructions: Answer from the passages, and cite them.\n"
        "knowledge: {collections: [handbook], strategy: UserRewrite, top: 3, min_score: 0.1}\n"
        'rewrite: {models: ["@openai/gpt-5-nano"]}\n',
    )
    (root / ".rc").write_text(
        "unset HISTFILE; PS1='\\[\\e[1;32m\\]$\\[\\e[0m\\] '\n"
        f'aivax() {{ "{sys.executable}" -m aivax_cli "$@"; }}\n'
    )
    made = aivax_here("ingest", "docs", "-c", "handbook", cwd=root)
    assert made.code == 0, made.err
    _earlier_usage(root)


def _earlier_usage(root: Path) -> None:
    """What the shop is said to have used on the days before."""
    today = datetime.now(UTC).replace(hour=10, minute=0)
    questions = (12, 34, 31, 9, 2, 48, 52, 61, 43, 70, 15, 4, 66)
    days = [
        today - timedelta(days=len(questions) - n) for n, count in enumerate(questions) for _ in range(count)
    ]
    moments = iter(days)
    with SqliteLedger(root / ".aivax" / LEDGER_FILE, now=lambda: next(moments)) as ledger:
        for turn in range(len(days)):
            charges = [
                Charge(f"inference.chat_completions.{part}", tokens, Decimal(price), "gpt-5-mini")
                for part, tokens, price in (("in", 2900, "0.00000025"), ("out", 240, "0.000002"))
            ]
            ledger.record(charges, turn_id=f"turn{turn}", gateway="shop", model="@openai/gpt-5-mini")


class Recorder(TerminalSession):
    """A shell whose output is kept with its time, and into which a person types."""

    def __init__(self, root: Path, *, hurry: bool = False) -> None:
        self.events: list[tuple[float, bytes]] = []
        self._began = time.monotonic()
        self._hurry = hurry
        super().__init__(
            "--noprofile",
            "--rcfile",
            ".rc",
            "-i",
            cwd=root,
            columns=COLUMNS,
            rows=ROWS,
            program=("bash",),
            screen=PictureScreen,
        )
        self.wait_for(r"^\$")

    def read(self, timeout_s: float) -> bool:
        before = len(self.raw)
        came = super().read(timeout_s)
        if came:
            self.events.append((time.monotonic() - self._began, self.raw[before:]))
        return came

    def person(self, keys: str, pause_s: float = 0.5) -> None:
        """Types as a person does, waits, and presses Enter."""
        for key in keys:
            self.type(key)
            self.look(0.0 if self._hurry else 0.045)
        self.look(pause_s)
        self.type(ENTER)

    def look(self, seconds: float) -> None:
        """Reads for so long: time to read for who watches, too."""
        ends = time.monotonic() + (0 if self._hurry else seconds)
        while (left := ends - time.monotonic()) > 0:
            self.read(left)

    def asks(self, text: str, then: str, look_s: float = 2.0) -> None:
        """Types a line at the prompt and waits for what comes of it."""
        before = len(re.findall(then, self.text))
        self.person(text)
        self.wait_for(then, count=before + 1)
        self.wait_for_prompt()
        self.look(look_s)

    def runs(self, command: str, look_s: float = 2.5) -> None:
        """Types a command and waits for the shell's prompt."""
        self.person(command)
        before = len(self.raw)
        self.read_until(lambda: len(self.raw) > before + 2 and self._at_shell(), timeout_s=PATIENT_S)
        self.look(look_s)

    def cleared(self) -> None:
        """Ctrl-L: an empty screen."""
        self.type("\x0c")
        self.read_until(lambda: self.screen.cursor.y == 0 and self._at_shell())

    def _at_shell(self) -> bool:
        return str(self.screen.display[self.screen.cursor.y]).rstrip() == "$"

    def picture(self, title: str) -> str:
        """The screen as it is, without what is empty below."""
        rows = [self.screen.buffer[y] for y in range(self.screen.lines)]
        used = max((y for y, line in enumerate(self.screen.display) if line.strip(" $")), default=0)
        return svg(rows[: used + 1], self.screen.columns, title)

    def cast(self, title: str) -> str:
        """The session as an asciicast, version 2; pauses are no longer than a viewer bears."""
        header: dict[str, Any] = {"version": 2, "width": COLUMNS, "height": ROWS, "title": title}
        lines = [json.dumps(header)]
        decode = codecs.getincrementaldecoder("utf-8")("replace").decode
        at = last = 0.0
        for moment, data in self.events:
            at += min(moment - last, _LONGEST_PAUSE_S)
            last = moment
            # Links lead into this machine's files.
            text = _LINK.sub("", decode(data))
            if text:
                lines.append(json.dumps([round(at, 2), "o", text], ensure_ascii=False))
        return "\n".join(lines) + "\n"


def session(root: Path, pictures: dict[str, str], *, hurry: bool = False) -> str:
    """Records the session in a shop's workspace and takes its pictures. Returns the asciicast."""
    closed = r"(?m)^(?:interrupted · )?~?\d.* out · .*\$"
    with Recorder(root, hurry=hurry) as shell:
        shell.look(0.5)
        shell.person("aivax chat shop")
        shell.wait_for("›")
        shell.wait_for_prompt()
        shell.asks(FIRST, closed, 3)
        pictures["chat"] = shell.picture("aivax chat shop")
        shell.asks("/sources 1", "Sending goods back is free")
        before = shell.text.count("replaced")
        shell.person(SECOND)
        shell.wait_for("replaced at no cost", count=before + 1)
        shell.type(CTRL_C)
        shell.wait_for("interrupted · ")
        shell.wait_for_prompt()
        shell.look(1.5)
        shell.asks("/continue", closed)
        pictures["continue"] = shell.picture("Ctrl-C and /continue")
        shell.asks("/cost", "this chat so far")
        shell.runs("/exit", 0.5)
        shell.cleared()
        shell.runs("aivax check", 3)
        pictures["check"] = shell.picture("aivax check")
        shell.cleared()
        shell.runs("aivax usage", 4)
        pictures["usage"] = shell.picture("aivax usage")
        return shell.cast("aivax: a chat with sources, checks and usage")


def playground_picture(root: Path, file: Path) -> None:
    """Asks the playground a question and takes its picture; without a browser the old one stays."""
    from support.browser import CHROMIUM, page
    from support.serving import served

    if CHROMIUM is None:
        return
    cache = {"AIVAX_CACHE_DIR": str(default_cache_dir(os.environ))}
    with served(root, env=cache) as server, page(f"{server.url}/", root / "browser") as tab:
        size = {"width": 900, "height": 740, "deviceScaleFactor": 1, "mobile": False}
        tab.call("Emulation.setDeviceMetricsOverride", **size)
        tab.wait("document.querySelector('#gateway').options.length > 0")
        tab.type(SHORT)
        tab.value("document.querySelector('#send').click()")
        tab.wait("/Total/.test(document.body.innerText)")
        tab.picture(file)


def main() -> None:
    docs = REPOSITORY / "docs"
    for folder in ("images", "recordings"):
        (docs / folder).mkdir(exist_ok=True)
    pictures: dict[str, str] = {}
    with tempfile.TemporaryDirectory() as folder, Upstream(model) as upstream:
        root = Path(folder)
        shop(root, upstream)
        cast = session(root, pictures)
        assert folder not in cast
        (docs / "recordings" / "session.cast").write_text(cast, encoding="utf-8")
        for name, picture in pictures.items():
            assert folder not in picture
            (docs / "images" / f"{name}.svg").write_text(picture, encoding="utf-8")
        playground_picture(root, docs / "images" / "playground.png")


if __name__ == "__main__":
    main()
