"""Brings home every file, picture and prompt behind a list of Civitai links, verified and resumable."""

__version__ = "0.1.0"
