"""What the attempts of one worker write: decoded, cut at the cap, small pieces joined.

Rule: nobody can write more than the cap of an attempt into the mesh, however fast, nor a secret that
this process was given.
"""

from __future__ import annotations

import codecs
from collections.abc import Callable

from nova_node.secrets.redact import Redactor

Speak = Callable[[int, bool, str], None]
MARKER = "\n[output cut here: it exceeds limits.output_bytes]\n"

_decoder = codecs.getincrementaldecoder("utf-8")


class Output:
    """`speak` is told key, whether it is stderr, and text; at `flush` at the latest."""

    def __init__(self, speak: Speak) -> None:
        self._speak = speak
        #: of all that the process was given so far
        self.redactor: Redactor | None = None
        self._held = [b"", b""]
        self._text: list[str] = []
        self._stderr = False
        self.begin(-1, 0)

    def begin(self, key: int, cap_bytes: int) -> None:
        """What is heard from now on is this attempt's."""
        self.finish()
        self.flush()
        self.key, self._room, self._cut = key, cap_bytes, False
        self._decoders = (_decoder(errors="replace"), _decoder(errors="replace"))

    def hear(self, fd: int, data: bytes) -> bool:
        """Whether more may come: False when this went past the cap."""
        stderr = fd == 2
        if self.redactor:
            data, self._held[stderr] = self.redactor.pour(self._held[stderr] + data)
        return self._take(stderr, data)

    def finish(self) -> None:
        """No more comes of this attempt: take the ends that might have become a secret."""
        for stderr in (False, True):
            if self._held[stderr] and self.redactor:
                data, self._held[stderr] = self.redactor.data(self._held[stderr]), b""
                self._take(stderr, data)

    def flush(self) -> None:
        if self._text:
            text, self._text = "".join(self._text), []
            self._speak(self.key, self._stderr, text)

    def end(self) -> None:
        """The process is gone."""
        self.begin(-1, 0)
        self.redactor = None

    def _take(self, stderr: bool, data: bytes) -> bool:
        kept = data[: self._room]
        self._room -= len(kept)
        self._add(stderr, self._decoders[stderr].decode(kept))
        if len(kept) == len(data):
            return True
        if not self._cut:
            self._cut = True
            self._add(stderr, MARKER)
        return False

    def _add(self, stderr: bool, text: str) -> None:
        if stderr is not self._stderr:
            self.flush()
            self._stderr = stderr
        if text:
            self._text.append(text)
