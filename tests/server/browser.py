"""A real browser without a screen, driven by its debugging protocol: opens a page, runs script in it, waits
until something is so. It knows nothing of what the pages are."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

from websockets.sync.client import connect

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
WAIT_SECONDS = 60
"""For what takes a second on an idle machine."""
_QUIET = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--no-proxy-server",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
)  # fmt: skip


class Browser:
    """One browser with one page.

    Args:
        directory: for its profile; empty.
        url: opened at once.
    """

    def __init__(self, directory: Path, url: str) -> None:
        assert CHROMIUM is not None, "there is no Chromium"
        self._log = (directory / "chromium.log").open("w+")
        options = (f"--user-data-dir={directory / 'profile'}", "--remote-debugging-port=0", "about:blank")
        self._process = subprocess.Popen(
            [CHROMIUM, *_QUIET, *options], stdout=self._log, stderr=subprocess.PIPE, text=True
        )
        assert self._process.stderr is not None
        told: list[str] = []
        for line in self._process.stderr:
            told.append(line)
            if line.startswith("DevTools listening on "):
                break
        else:
            raise AssertionError(f"the browser did not start: {told}")
        address = told[-1].removeprefix("DevTools listening on ").strip()
        self._peer = connect(address, max_size=None, proxy=None, legacy=True)
        self._asked = 0
        self._loaded = False
        self._session: str | None = None
        target = self._ask("Target.createTarget", url="about:blank")["targetId"]
        self._session = self._ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        self._ask("Page.enable")
        self._ask("Page.navigate", url=url)
        while not self._loaded:
            self._hear()

    def run(self, script: str) -> Any:
        """What the expression comes to; a promise is waited for."""
        answer = self._ask("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def until(self, condition: str) -> None:
        """Wait until the expression is true; the page itself looks, twenty times a second.

        Raises:
            TimeoutError: it has not come true.
        """
        self.run(
            f"new Promise(so => {{ const look = () => {condition} ? so() : setTimeout(look, 50); look(); }})"
        )

    def close(self) -> None:
        """End the browser."""
        self._peer.close()
        self._process.terminate()
        self._process.wait(WAIT_SECONDS)
        assert self._process.stderr is not None
        self._process.stderr.close()
        self._log.close()

    def _ask(self, method: str, **parameters: Any) -> Any:
        self._asked += 1
        message = {"id": self._asked, "method": method, "params": parameters}
        if self._session is not None:
            message["sessionId"] = self._session
        self._peer.send(json.dumps(message))
        while (heard := self._hear()).get("id") != self._asked:
            pass
        assert "result" in heard, heard
        return heard["result"]

    def _hear(self) -> dict[str, Any]:
        heard: dict[str, Any] = json.loads(self._peer.recv(timeout=WAIT_SECONDS))
        self._loaded |= heard.get("method") == "Page.loadEventFired"
        return heard
