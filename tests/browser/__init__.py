"""Real browsers, driven over one WebSocket each: Chromium by CDP, Firefox by WebDriver BiDi."""

from .chromium import Chromium, ChromiumTab, find_chromium
from .firefox import Firefox, FirefoxTab, find_firefox
from .tab import Tab
from .wire import BrowserError

__all__ = ["BrowserError", "Chromium", "ChromiumTab", "Firefox", "FirefoxTab", "Tab", "find_chromium", "find_firefox"]
