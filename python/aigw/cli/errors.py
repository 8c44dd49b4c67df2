"""How commands fail."""

from aigw.errors import AigwError


class UsageError(AigwError):
    """The command line cannot be used; the text is for the user. Exit code 80."""


class CommandError(AigwError):
    """The command cannot do what it was asked; the text is for the user. Exit code 1."""
