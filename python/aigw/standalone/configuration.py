"""The configuration of a run, as often as its files change."""

import os
import time
from dataclasses import replace

from aigw.api.load import Loader, Source
from aigw.api.secret_sources import Environment
from aigw.compile.compiler import Compiled, Compiler
from aigw.errors import Code, Diagnostic
from aigw.extras import missing_extras
from aigw.plan import EndpointPrefixes
from aigw.standalone import source
from aigw.standalone.attributes import attributes
from aigw.standalone.source import Found
from aigw.standalone.watch import Files


class Configuration:
    """Reads and compiles; what has not changed is taken from the last time."""

    def __init__(self, found: Found, files: Files, prefixes: EndpointPrefixes) -> None:
        """`files` has seen the file of `found`, if there is one.

        Raises:
            RunError: a variable of the environment cannot be used.
        """
        self._attributes = attributes(os.environ)
        self.files = files
        self._found = found
        self._loader = Loader()
        # Models without a date of their own keep the one of the start.
        self._compiler = Compiler(int(time.time()), prefixes, os.environ, missing_extras())
        self._known: frozenset[Diagnostic] = frozenset()

    @property
    def is_written(self) -> bool:
        """Whether there is a file that can change."""
        return self._found.path is not None

    def first(self) -> Compiled:
        """What was found."""
        return self._compiled(self._found.source)

    def again(self) -> Compiled:
        """What is written now.

        Raises:
            RunError: the file cannot be read.
        """
        self.files.start()
        return self._compiled(source.reread(self._found, self.files))

    def news(self, compiled: Compiled) -> list[Diagnostic]:
        """Findings that the last time did not have, wherever their documents stand now.

        Behind a syntax error the rest of the file is missing: what follows from that is no news.
        """
        if unreadable := _unreadable(compiled):
            return unreadable
        placeless = [replace(finding, origin=None) for finding in compiled.diagnostics]
        new = [
            finding
            for finding, key in zip(compiled.diagnostics, placeless, strict=True)
            if key not in self._known
        ]
        self._known = frozenset(placeless)
        return new

    def fault(self, compiled: Compiled) -> str | None:
        """Why none of it can be served; None where a part can.

        A syntax error hides the rest of the file, and no user has written a generated
        configuration: there is no rest to be served.
        """
        unreadable = _unreadable(compiled)
        generated = not self.is_written and bool(compiled.errors)
        if compiled.plan is not None and not unreadable and not generated:
            return None
        count = len(unreadable or compiled.errors)
        return f"nothing can be served, see the {count} error{'s' if count != 1 else ''} above"

    def _compiled(self, text: Source) -> Compiled:
        environment = Environment(os.environ, self.files.read)
        compiled = self._compiler.compile(self._loader.load([text], environment))
        if compiled.plan is None:
            return compiled
        return replace(compiled, plan=replace(compiled.plan, attributes=self._attributes))


def _unreadable(compiled: Compiled) -> list[Diagnostic]:
    return [finding for finding in compiled.errors if finding.code is Code.INVALID_YAML]
