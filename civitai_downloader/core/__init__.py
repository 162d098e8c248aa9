"""What Civitai is, and what is done with it. This is the door: the names that the command uses, and no others."""

from ..util.errors import Failure, UsageError
from ..util.files import free_space
from ..util.idm import find_idm
from ..util.logfile import LogFile
from ..util.text import split_login
from .arguments import Arguments, merged, read_configurations
from .bulletin import tell_news
from .cookies import read_cookies
from .display import CheckDisplay, ProgressDisplay, check_folder, refilter_folder
from .errands import run_errand
from .gallery import finish_page
from .inputs import collect
from .libraries import Libraries
from .library import Library
from .lists import Unused
from .ondisk import in_libraries
from .ours import check_output
from .outcome import write_outcome
from .plan import Plan, heading, shown_row
from .prompts import Filters, find_filters
from .records import Result
from .run import Run
from .settings import Settings, find_token
from .shares import share_from
from .undo import undo
from .words import Words, say_looked, say_plan, say_summary, say_unused

__all__ = [
    "Arguments",
    "CheckDisplay",
    "Failure",
    "Filters",
    "Libraries",
    "Library",
    "LogFile",
    "Plan",
    "ProgressDisplay",
    "Result",
    "Run",
    "Settings",
    "Unused",
    "UsageError",
    "Words",
    "check_folder",
    "check_output",
    "collect",
    "find_filters",
    "find_idm",
    "find_token",
    "finish_page",
    "free_space",
    "heading",
    "in_libraries",
    "merged",
    "read_configurations",
    "read_cookies",
    "refilter_folder",
    "run_errand",
    "say_looked",
    "say_plan",
    "say_summary",
    "say_unused",
    "share_from",
    "shown_row",
    "split_login",
    "tell_news",
    "undo",
    "write_outcome",
]
