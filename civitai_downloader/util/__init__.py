"""Tools that know nothing of Civitai, one subject a room. Sizes are in bytes, times in seconds."""

from .clock import Clock
from .errors import Failure, UsageError
from .files import free_space
from .idm import find_idm
from .text import decode_text, human_size, printable, read_named, scrub

__all__ = [
    "Clock", "Failure", "UsageError", "decode_text", "find_idm", "free_space", "human_size", "printable", "read_named",
    "scrub",
]  # fmt: skip
