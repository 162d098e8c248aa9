"""What Civitai is, and what is done with it. This is the door: the names that the command uses, and no others."""

import logging

from .data import read_data
from .fetch import Result
from .library import Library, check_writable
from .prompts import Filters
from .run import Run, plan, verify_library, write_outcome
from .settings import Settings
from .site import read_cookies
from .targets import Entry, Line, Target, parse_list, parse_target, user_link

log = logging.getLogger("civitai_downloader")

__all__ = [
    "Entry", "Filters", "Library", "Line", "Result", "Run", "Settings", "Target", "check_writable", "log", "parse_list",
    "parse_target", "plan", "read_cookies", "read_data", "user_link", "verify_library", "write_outcome",
]  # fmt: skip
