"""What Civitai is, and what is done with it. This is the door: the names that the command uses, and no others."""

from ..util.errors import Failure, UsageError
from ..util.files import free_space
from ..util.idm import find_idm
from ..util.text import human_size, split_login
from .cookies import read_cookies
from .display import CheckDisplay, ProgressDisplay
from .failed import write_wrong
from .inputs import collect
from .library import Libraries, Library
from .lists import Unused
from .ours import check_output
from .outcome import write_outcome
from .plan import plan
from .prompts import Filters, find_filters
from .records import Result
from .run import Run
from .settings import Settings, find_token
from .verification import Verification
from .words import Words, say_failures, say_gone, say_summary, say_unused, system_language

__all__ = [
    "CheckDisplay", "Failure", "Filters", "Libraries", "Library", "ProgressDisplay", "Result", "Run", "Settings",
    "Unused", "UsageError", "Verification", "Words", "check_output", "collect", "find_filters", "find_idm",
    "find_token", "free_space", "human_size", "plan", "read_cookies", "say_failures", "say_gone", "say_summary",
    "say_unused", "split_login", "system_language", "write_outcome", "write_wrong",
]  # fmt: skip
