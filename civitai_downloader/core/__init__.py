"""What Civitai is, and what is done with it. This is the door: the names that the command uses, and no others."""

from ..util.errors import Failure, UsageError
from ..util.files import free_space
from ..util.idm import find_idm
from ..util.text import human_size, split_login
from .cookies import read_cookies
from .inputs import collect
from .library import Library
from .lists import Unused
from .outcome import write_outcomes
from .plan import plan
from .prompts import Filters, find_filters
from .records import Result
from .run import Run
from .settings import Settings, find_token
from .verification import verify_library
from .words import ProgressDisplay, Words, say_failures, say_summary, say_unused, system_language

__all__ = [
    "Failure", "Filters", "Library", "ProgressDisplay", "Result", "Run", "Settings", "Unused", "UsageError", "Words",
    "collect", "find_filters", "find_idm", "find_token", "free_space", "human_size", "plan", "read_cookies",
    "say_failures", "say_summary", "say_unused", "split_login", "system_language", "verify_library", "write_outcomes",
]  # fmt: skip
