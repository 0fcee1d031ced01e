"""A history: what every client, watcher and handler was told, and when.

Kept by whoever drives a simulation or a real server; written to a file as JSON lines and read back. It judges
nothing: `history_check` holds it against what a job queue may do. Requests, answers and events are in the
words of the wire, so that what crossed the connection is what is kept.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping
from typing import IO, Any, TypeAlias

import msgspec
from msgspec import Struct


class Call(Struct, kw_only=True, tag_field="entry", tag="call", omit_defaults=True):
    """One request of a client and what it was told. Without an answer its fate is open: the connection broke,
    or the history ended first."""

    client: str
    request: dict[str, Any]
    """As it went out: `{"type": "enqueue", "jobs": […]}`."""
    invoked: float
    answered: float | None = None
    answer: dict[str, Any] | None = None
    """As it came: `{"type": "ok", …}` or `{"type": "error", "code": …}`."""


class Watching(Struct, kw_only=True, tag_field="entry", tag="watching", omit_defaults=True):
    """A watcher subscribes. Its next event is the first from `from_lsn` on; any other if it filters."""

    watcher: str
    at: float
    from_lsn: int
    filtered: bool = False


class Seen(Struct, kw_only=True, tag_field="entry", tag="event"):
    """A watcher was told of an event."""

    watcher: str
    at: float
    event: dict[str, Any]


class Missed(Struct, kw_only=True, tag_field="entry", tag="gap"):
    """A watcher was told that these events are gone."""

    watcher: str
    at: float
    from_lsn: int
    to_lsn: int


class Began(Struct, kw_only=True, tag_field="entry", tag="began", omit_defaults=True):
    """A handler was called."""

    job_id: str
    at: float
    attempt: int
    fence: int
    remote: bool = False
    """Whether on another machine, perhaps cut off since it got the lease."""


class Ended(Struct, kw_only=True, tag_field="entry", tag="ended", omit_defaults=True):
    """A handler was done."""

    job_id: str
    at: float
    fence: int
    outcome: str
    """`succeeded`, or any other word."""
    result: Any = None


Entry: TypeAlias = Call | Watching | Seen | Missed | Began | Ended

_encode = msgspec.json.Encoder().encode
_decoder = msgspec.json.Decoder(Entry)


class History:
    """The entries, in the order in which they began.

    Args:
        clock: gives the time of each thing that is told: any numbers that do not go back, such as seconds.
            Two things at one time count as simultaneous, which hides what their order would show; so unless
            several processes write one history, leave it out, and things are numbered as they come.
        entries: what is known already.
    """

    def __init__(self, clock: Callable[[], float] | None = None, entries: Iterable[Entry] = ()) -> None:
        self.entries: list[Entry] = list(entries)
        self._clock = clock or itertools.count(1).__next__

    def call(self, client: str, request: Mapping[str, Any]) -> Call:
        """A request is about to leave; hand what is returned to `answer`."""
        call = Call(client=client, request=dict(request), invoked=self._clock())
        self.entries.append(call)
        return call

    def answer(self, call: Call, answer: Mapping[str, Any]) -> None:
        """The answer has come. Call this before anything is done that follows from it."""
        call.answered = self._clock()
        call.answer = dict(answer)

    def watch(self, watcher: str, from_lsn: int, *, filtered: bool = False) -> None:
        """A watcher subscribes, or does so again."""
        self.entries.append(Watching(watcher=watcher, at=self._clock(), from_lsn=from_lsn, filtered=filtered))

    def push(self, watcher: str, message: Mapping[str, Any]) -> None:
        """A watcher was pushed a message: `event`, `events` or `gap`. Others tell nothing that is checked."""
        match message["type"]:
            case "event":
                self.see(watcher, {key: message[key] for key in message if key not in _OF_THE_PUSH})
            case "events":
                for event in message["events"]:
                    self.see(watcher, event)
            case "gap":
                self.miss(watcher, message["from"], message["to"])

    def see(self, watcher: str, event: Mapping[str, Any]) -> None:
        """A watcher was told of an event."""
        self.entries.append(Seen(watcher=watcher, at=self._clock(), event=dict(event)))

    def miss(self, watcher: str, from_lsn: int, to_lsn: int) -> None:
        """A watcher was told of a gap, both ends included."""
        self.entries.append(Missed(watcher=watcher, at=self._clock(), from_lsn=from_lsn, to_lsn=to_lsn))

    def began(self, job_id: str, attempt: int, fence: int, *, remote: bool = False) -> None:
        """A handler is called. `remote`: on another machine, which may have been cut off since it got the
        lease."""
        began = Began(job_id=job_id, at=self._clock(), attempt=attempt, fence=fence, remote=remote)
        self.entries.append(began)

    def ended(self, job_id: str, fence: int, outcome: str, result: Any = None) -> None:
        """A handler is done, and has told nobody yet.

        Args:
            outcome: `succeeded`, or any other word.
            result: what it returned.
        """
        self.entries.append(
            Ended(job_id=job_id, at=self._clock(), fence=fence, outcome=outcome, result=result)
        )

    def write(self, file: IO[bytes]) -> None:
        """Write one JSON object a line."""
        for entry in self.entries:
            file.write(_encode(entry) + b"\n")

    @classmethod
    def read(cls, file: Iterable[bytes]) -> History:
        """Read what `write` wrote.

        Raises:
            ValueError: a line is not an entry; the message has its number.
        """
        entries: list[Entry] = []
        for number, line in enumerate(file, start=1):
            try:
                entries.append(_decoder.decode(line))
            except msgspec.DecodeError as error:
                raise ValueError(f"line {number}: {error}") from error
        return cls(entries=entries)


def line(entry: Entry) -> str:
    """One entry as JSON."""
    return _encode(entry).decode()


_OF_THE_PUSH = frozenset({"type", "subscription"})
