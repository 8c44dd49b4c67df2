"""The `aigw` command."""

from aigw.cli.main import main

__all__ = ["main"]
