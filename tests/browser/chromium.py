"""Chromium, driven by its own protocol (CDP)."""

from __future__ import annotations

import base64
import contextlib
import shutil
import subprocess
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .keys import Key, read_key
from .tab import Tab
from .wire import SECONDS, BrowserError, Wire, launch

FLAGS = (
    "--headless=new --no-sandbox --disable-gpu --disable-quic --no-first-run --no-default-browser-check --disable-sync "
    "--disable-background-networking --disable-component-update --disable-default-apps --disable-extensions "
    "--disable-dev-shm-usage --hide-scrollbars --mute-audio --force-color-profile=srgb --lang=en-US "
    "--remote-debugging-port=0 --disable-features=Translate,MediaRouter,OptimizationHints"
).split()
SIZE = (1280, 800)


def find_chromium() -> str | None:
    """Return the path of a Chromium on this machine, or None."""
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
    return next(filter(None, map(shutil.which, names)), None)


class Chromium:
    """A running Chromium with a fresh profile. `proxy` is where everything that is not a file would go."""

    def __init__(self, proxy: str = "") -> None:
        program = find_chromium()
        if program is None:
            raise BrowserError("there is no Chromium on this machine")
        self._profile = tempfile.mkdtemp(prefix="chromium-")
        words = [program, *FLAGS, f"--user-data-dir={self._profile}"]
        words += [f"--proxy-server={proxy}", "--proxy-bypass-list=<-loopback>"] if proxy else []
        self.process = launch(words)
        self._tabs: dict[str, ChromiumTab] = {}
        self.wire = Wire(self._address(), self._event)

    def __enter__(self) -> Chromium:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _address(self) -> str:
        """Return where Chromium listens, once it says so."""
        told = Path(self._profile, "DevToolsActivePort")
        end = time.monotonic() + SECONDS
        while time.monotonic() < end and self.process.poll() is None:
            with contextlib.suppress(OSError, ValueError):
                port, path = told.read_text("utf-8").split()
                return f"ws://127.0.0.1:{port}{path}"
            time.sleep(0.02)
        self.process.kill()
        raise BrowserError("Chromium does not start")

    def _event(self, event: Mapping[str, Any]) -> None:
        tab = self._tabs.get(event.get("sessionId", ""))
        if tab is not None:
            tab.notice(event["method"], event["params"])

    def tab(self, *, language: str = "en-US", before: str = "") -> ChromiumTab:
        """Open a tab with storage of its own. `before` is a script that runs before those of each document."""
        context = self.wire.ask("Target.createBrowserContext")["browserContextId"]
        grant = {"permissions": ["clipboardReadWrite", "clipboardSanitizedWrite"], "browserContextId": context}
        self.wire.ask("Browser.grantPermissions", grant)
        target = self.wire.ask("Target.createTarget", {"url": "about:blank", "browserContextId": context})["targetId"]
        session = self.wire.ask("Target.attachToTarget", {"targetId": target, "flatten": True})["sessionId"]
        tab = ChromiumTab(self, session, context)
        self._tabs[session] = tab
        tab.prepare(language, before)
        return tab

    def forget(self, tab: ChromiumTab) -> None:
        """Drop a tab that is closed."""
        self._tabs.pop(tab.session, None)

    def close(self) -> None:
        """End Chromium and remove its profile."""
        with contextlib.suppress(BrowserError):
            self.wire.ask("Browser.close")
        self.wire.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(5)
        self.process.kill()
        self.process.wait()
        shutil.rmtree(self._profile, ignore_errors=True)


class ChromiumTab(Tab):
    """A tab of Chromium."""

    def __init__(self, browser: Chromium, session: str, context: str) -> None:
        super().__init__()
        self._browser, self.session, self._context = browser, session, context
        self._loads = 0
        self._before: list[str] = []

    def ask(self, method: str, **params: Any) -> dict[str, Any]:
        """Return the result of a command to this tab."""
        return self._browser.wire.ask(method, params, sessionId=self.session)

    def prepare(self, language: str, before: str) -> None:
        """Listen, and set what holds until the tab is cleared or closed."""
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.ask(f"{domain}.enable")
        self.ask("Emulation.setFocusEmulationEnabled", enabled=True)
        agent = self._browser.wire.ask("Browser.getVersion")["userAgent"].replace("Headless", "")
        self.ask("Emulation.setUserAgentOverride", userAgent=agent, acceptLanguage=language)
        self.ask("Emulation.setLocaleOverride", locale=language.replace("-", "_"))
        if before:
            self._before.append(self.ask("Page.addScriptToEvaluateOnNewDocument", source=before)["identifier"])
        self.resize(*SIZE)

    def clear(self) -> None:
        """Leave the tab as a new one is, apart from what `prepare` sets. Raises BrowserError."""
        for each in self._before:
            self.ask("Page.removeScriptToEvaluateOnNewDocument", identifier=each)
        self._before.clear()
        self.open("about:blank")
        self.ask("Storage.clearDataForOrigin", origin="file://", storageTypes="all")
        self.ask("Page.resetNavigationHistory")
        self.prefer()
        self.move(0, 0)

    def notice(self, method: str, params: Mapping[str, Any]) -> None:
        """Take note of an event."""
        if method == "Page.loadEventFired":
            self._loads += 1
        elif method == "Network.requestWillBeSent":
            self.requests.append(params["request"]["url"])
        elif method == "Runtime.exceptionThrown":
            details = params["exceptionDetails"]
            where = f"{details.get('url', '')}:{details['lineNumber'] + 1}"
            said = details.get("exception", {}).get("description") or ""
            self.complaints.append(f"{details['text']} {said} at {where}")
        elif method == "Runtime.consoleAPICalled":
            self.complaints.append(" ".join(str(each.get("value", each.get("description"))) for each in params["args"]))
        elif method == "Log.entryAdded" and params["entry"]["level"] in ("error", "warning"):
            self.complaints.append(f"{params['entry']['text']} {params['entry'].get('url', '')}".strip())

    def open(self, address: str) -> None:
        loads = self._loads
        result = self.ask("Page.navigate", url=address)
        if result.get("errorText"):
            raise BrowserError(f"{address}: {result['errorText']}")
        if "loaderId" in result:  # else only the part behind # is another one
            self._await_load(loads)

    def reload(self) -> None:
        """Load the page once more, as with F5."""
        loads = self._loads
        self.ask("Page.reload")
        self._await_load(loads)

    def _await_load(self, loads: int) -> None:
        end = time.monotonic() + SECONDS
        while self._loads == loads:
            if time.monotonic() > end:
                raise BrowserError("the page does not finish loading")
            self.evaluate("0")

    def evaluate(self, expression: str) -> Any:
        params = {"expression": expression, "awaitPromise": True, "returnByValue": True, "userGesture": False}
        answer = self.ask("Runtime.evaluate", **params)
        if "exceptionDetails" in answer:
            details = answer["exceptionDetails"]
            raise BrowserError(details.get("exception", {}).get("description") or details["text"])
        return answer["result"].get("value")

    def send_key(self, key: Key, *, times: int = 1) -> None:
        facts = {"key": key.name, "code": key.code, "windowsVirtualKeyCode": key.number, "modifiers": key.bits}
        typed = {"text": key.text, "unmodifiedText": key.text} if key.text else {}
        for number in range(times):
            kind = "keyDown" if key.text else "rawKeyDown"
            self.ask("Input.dispatchKeyEvent", type=kind, autoRepeat=number > 0, **facts, **typed)
        self.ask("Input.dispatchKeyEvent", type="keyUp", **facts)

    def move(self, x: float, y: float) -> None:
        self.ask("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)

    def click_at(self, x: float, y: float, *, count: int = 1, key: str = "", button: str = "left") -> None:
        bits = read_key(f"{key}+a").bits if key else 0
        self.move(x, y)
        for number in range(1, count + 1):
            for kind in ("mousePressed", "mouseReleased"):
                facts = {"type": kind, "x": x, "y": y, "button": button, "clickCount": number, "modifiers": bits}
                self.ask("Input.dispatchMouseEvent", **facts)

    def drag(self, start: tuple[float, float], end: tuple[float, float]) -> None:
        self.move(*start)
        self._button("mousePressed", start)
        for step in range(1, 6):
            x, y = (one + (other - one) * step / 5 for one, other in zip(start, end, strict=True))
            self.ask("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y, button="left", buttons=1)
        self._button("mouseReleased", end)

    def _button(self, kind: str, at: tuple[float, float]) -> None:
        self.ask("Input.dispatchMouseEvent", type=kind, x=at[0], y=at[1], button="left", clickCount=1)

    def wheel(self, x: float, y: float, delta: float, key: str = "") -> None:
        bits = read_key(f"{key}+a").bits if key else 0
        self.ask("Input.dispatchMouseEvent", type="mouseWheel", x=x, y=y, deltaX=0, deltaY=delta, modifiers=bits)

    def swipe(self, start: tuple[float, float], end: tuple[float, float]) -> None:
        """Move a finger over the screen."""
        points = [
            (start[0] + (end[0] - start[0]) * step / 5, start[1] + (end[1] - start[1]) * step / 5) for step in range(6)
        ]
        self.ask("Input.dispatchTouchEvent", type="touchStart", touchPoints=[{"x": points[0][0], "y": points[0][1]}])
        for x, y in points[1:]:
            time.sleep(0.02)
            self.ask("Input.dispatchTouchEvent", type="touchMove", touchPoints=[{"x": x, "y": y}])
        time.sleep(0.1)  # a finger that is lifted while it moves flings, and the next tap only ends that
        self.ask("Input.dispatchTouchEvent", type="touchEnd", touchPoints=[])

    def tap(self, selector: str, index: int = 0) -> None:
        """Tap the element with a finger."""
        x, y = self.point(selector, index)
        self.ask("Input.dispatchTouchEvent", type="touchStart", touchPoints=[{"x": x, "y": y}])
        self.ask("Input.dispatchTouchEvent", type="touchEnd", touchPoints=[])

    def screenshot(self) -> bytes:
        return base64.b64decode(self.ask("Page.captureScreenshot", format="png")["data"])

    def resize(self, width: int, height: int, *, phone: bool = False) -> None:
        facts = {"width": width, "height": height, "deviceScaleFactor": 2 if phone else 1, "mobile": phone}
        self.ask("Emulation.setDeviceMetricsOverride", **facts)
        self.ask("Emulation.setTouchEmulationEnabled", enabled=phone)

    def prefer(self, **features: str) -> None:
        """Let the page see preferences, as `prefers_color_scheme="dark"`, `forced_colors="active"`."""
        told = [{"name": name.replace("_", "-"), "value": value} for name, value in features.items()]
        self.ask("Emulation.setEmulatedMedia", features=told)

    def clipboard(self) -> str:
        """Return the text that was copied last."""
        return str(self.evaluate("navigator.clipboard.readText()"))

    def close(self) -> None:
        self._browser.forget(self)
        with contextlib.suppress(BrowserError):
            self._browser.wire.ask("Target.disposeBrowserContext", {"browserContextId": self._context})
