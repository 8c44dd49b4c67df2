"""Why a credential was not exchanged."""

from aigw.errors import AigwError

_LONGEST_REASON = 200
# What is shorter is part of other words, and its absence would tell it.
_SHORTEST_SECRET = 8


class ExchangeError(AigwError):
    """Nothing was given for a credential. The text holds no secret."""


def reason(error: Exception, *secrets: str) -> str:
    """What an exception says, in one line, without what must not be read."""
    first = error.args[0] if error.args else type(error).__name__
    return readable(str(first), *secrets)


def readable(text: str, *secrets: str) -> str:
    """One line of bounded length, without `secrets`: a server may have sent them back."""
    for secret in secrets:
        if len(secret) >= _SHORTEST_SECRET:
            text = text.replace(secret, "[REDACTED]")
    text = " ".join(text.split())
    return text if len(text) <= _LONGEST_REASON else f"{text[:_LONGEST_REASON]}…"
