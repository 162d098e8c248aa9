"""Firefox, driven by WebDriver BiDi, with the rules for pages from disk that its users have."""

from __future__ import annotations

import base64
import contextlib
import json
import shutil
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from .chromium import SIZE
from .keys import Key, read_key
from .tab import Tab
from .wire import SECONDS, BrowserError, Wire, launch

# `remote.prefs.recommended` would weaken the rules for pages from disk, so that everything "works".
PREFERENCES: dict[str, bool | str | int] = {
    "remote.prefs.recommended": False,
    "security.fileuri.strict_origin_policy": True,
    "app.update.auto": False,
    "browser.aboutwelcome.enabled": False,
    "browser.newtabpage.enabled": False,
    "browser.shell.checkDefaultBrowser": False,
    "browser.startup.homepage_override.mstone": "ignore",
    "browser.startup.page": 0,
    "browser.topsites.contile.enabled": False,
    "datareporting.policy.dataSubmissionEnabled": False,
    "extensions.update.enabled": False,
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
    "services.settings.server": "data:,",
    "toolkit.telemetry.reportingpolicy.firstRun": False,
    "intl.accept_languages": "en-US, en",
}


def find_firefox() -> str | None:
    """Return the path of a Firefox on this machine, or None."""
    return shutil.which("firefox-esr") or shutil.which("firefox")


class Firefox:
    """A running Firefox with a fresh profile; `preferences` are set besides ours."""

    def __init__(self, **preferences: bool | str | int) -> None:
        program = find_firefox()
        if program is None:
            raise BrowserError("there is no Firefox on this machine")
        self._profile = tempfile.mkdtemp(prefix="firefox-")
        lines = (
            f"user_pref({json.dumps(name)}, {json.dumps(value)});\n"
            for name, value in (PREFERENCES | preferences).items()
        )
        Path(self._profile, "user.js").write_text("".join(lines), "utf-8")
        words = [program, "--headless", "--no-remote", "--profile", self._profile, "--remote-debugging-port", "0"]
        self.process = launch(words)
        self._tabs: dict[str, FirefoxTab] = {}
        self.wire = Wire(self._address(), self._event)
        self.wire.ask("session.new", {"capabilities": {}})
        events = ["log.entryAdded", "network.beforeRequestSent"]
        self.wire.ask("session.subscribe", {"events": events})

    def __enter__(self) -> Firefox:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _address(self) -> str:
        """Return where Firefox listens, once it says so."""
        told = Path(self._profile, "WebDriverBiDiServer.json")
        end = time.monotonic() + SECONDS
        while time.monotonic() < end and self.process.poll() is None:
            with contextlib.suppress(OSError, ValueError):
                place = json.loads(told.read_text("utf-8"))
                return f"ws://{place['ws_host']}:{place['ws_port']}/session"
            time.sleep(0.05)
        self.process.kill()
        raise BrowserError("Firefox does not start")

    def _event(self, event: Mapping[str, Any]) -> None:
        params = event["params"]
        context = params.get("context") or params.get("source", {}).get("context")
        tab = self._tabs.get(context or "")
        if tab is not None:
            tab.notice(event["method"], params)

    def tab(self, *, before: str = "") -> FirefoxTab:
        """Open a tab. `before` is a script that runs before those of each document."""
        context = self.wire.ask("browsingContext.create", {"type": "tab"})["context"]
        if before:
            script = {"functionDeclaration": f"() => {{ {before} }}", "contexts": [context]}
            self.wire.ask("script.addPreloadScript", script)
        tab = FirefoxTab(self, context)
        self._tabs[context] = tab
        tab.resize(*SIZE)
        return tab

    def forget(self, context: str) -> None:
        """Drop a tab that is closed."""
        self._tabs.pop(context, None)

    def close(self) -> None:
        """End Firefox and remove its profile."""
        with contextlib.suppress(BrowserError):
            self.wire.ask("browser.close")
        self.wire.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(10)
        self.process.kill()
        self.process.wait()
        shutil.rmtree(self._profile, ignore_errors=True)


class FirefoxTab(Tab):
    """A tab of Firefox."""

    def __init__(self, browser: Firefox, context: str) -> None:
        super().__init__()
        self._browser, self._context = browser, context

    def ask(self, method: str, **params: Any) -> dict[str, Any]:
        """Return the result of a command to this tab."""
        return self._browser.wire.ask(method, {"context": self._context, **params})

    def notice(self, method: str, params: Mapping[str, Any]) -> None:
        """Take note of an event."""
        if method == "network.beforeRequestSent":
            self.requests.append(params["request"]["url"])
        elif params.get("level") in ("error", "warn") or params.get("type") == "console":
            self.complaints.append(str(params.get("text")))

    def open(self, address: str) -> None:
        self.ask("browsingContext.navigate", url=address, wait="complete")

    def evaluate(self, expression: str) -> Any:
        words = f"(async () => JSON.stringify([await ({expression})]))()"
        target = {"target": {"context": self._context}, "awaitPromise": True}
        answer = self._browser.wire.ask("script.evaluate", {"expression": words, **target})
        if answer["type"] == "exception":
            raise BrowserError(answer["exceptionDetails"]["text"])
        return json.loads(answer["result"]["value"])[0]

    def _act(self, kind: str, actions: Sequence[Mapping[str, Any]], **more: Any) -> None:
        source = {"type": kind, "id": kind, "actions": list(actions), **more}
        self.ask("input.performActions", actions=[source])

    def send_key(self, key: Key, *, times: int = 1) -> None:
        down = [{"type": "keyDown", "value": each} for each in (*key.held, *[key.webdriver] * times)]
        up = [{"type": "keyUp", "value": each} for each in (key.webdriver, *reversed(key.held))]
        self._act("key", [*down, *up])

    def move(self, x: float, y: float) -> None:
        self._pointer([_move(x, y)])

    def _pointer(self, actions: Sequence[Mapping[str, Any]]) -> None:
        self._act("pointer", actions, parameters={"pointerType": "mouse"})

    def click_at(self, x: float, y: float, *, count: int = 1, key: str = "", button: str = "left") -> None:
        assert not key, "a click with a modifier is not tried in Firefox"
        number = {"left": 0, "middle": 1, "right": 2}[button]
        press = [{"type": "pointerDown", "button": number}, {"type": "pointerUp", "button": number}]
        self._pointer([_move(x, y), *press * count])

    def drag(self, start: tuple[float, float], end: tuple[float, float]) -> None:
        down, up = {"type": "pointerDown", "button": 0}, {"type": "pointerUp", "button": 0}
        self._pointer([_move(*start), down, {**_move(*end), "duration": 50}, up])

    def wheel(self, x: float, y: float, delta: float, key: str = "") -> None:
        scroll = {"type": "scroll", "x": round(x), "y": round(y), "deltaX": 0, "deltaY": round(delta)}
        held = read_key(f"{key}+a").held if key else []
        if held:
            self._act("key", [{"type": "keyDown", "value": each} for each in held])
        self._act("wheel", [scroll])
        self.ask("input.releaseActions")

    def screenshot(self) -> bytes:
        return base64.b64decode(self.ask("browsingContext.captureScreenshot")["data"])

    def resize(self, width: int, height: int, *, phone: bool = False) -> None:
        assert not phone, "Firefox has no finger here"
        self.ask("browsingContext.setViewport", viewport={"width": width, "height": height})

    def close(self) -> None:
        self._browser.forget(self._context)
        with contextlib.suppress(BrowserError):
            self.ask("browsingContext.close")


def _move(x: float, y: float) -> dict[str, Any]:
    return {"type": "pointerMove", "x": round(x), "y": round(y)}
