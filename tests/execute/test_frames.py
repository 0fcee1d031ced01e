"""Tests of `frames`: what the server and a worker process say arrives as it was said, or is refused."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from beaver_actors.core.job import JobError
from beaver_actors.core.outcome import (
    Crashed,
    Failed,
    Outcome,
    Rejected,
    Snoozed,
    Stopped,
    Succeeded,
    TimedOut,
)
from beaver_actors.execute.frames import (
    Cancel,
    Done,
    Exit,
    FromProcess,
    Garbled,
    Progress,
    Ready,
    Run,
    ToProcess,
    Unavailable,
    bytes_max,
    done,
    frame,
    outcome,
    take_from_process,
    take_to_process,
)
from beaver_actors.execute.outcomes import LIMITS
from tests.execute.support import attempt

ERROR = JobError("T", "m", "t")
LIMIT = bytes_max(LIMITS)

FROM: list[FromProcess] = [
    Ready(),
    Unavailable(ERROR),
    Progress(b'{"percent":1}'),
    Done("succeeded", result=b"\x00\xff"),
]
TO: list[ToProcess] = [Run(attempt("job", 2, 5, x="é"), LIMITS), Cancel(2**60), Exit()]


@given(cuts=st.lists(st.integers(0, 400), max_size=8))
def test_messages_arrive_however_their_bytes_are_cut(cuts: list[int]) -> None:
    """Both directions, all messages in a row, in random pieces."""
    for messages, take in ((FROM, lambda b: take_from_process(b, LIMIT)), (TO, take_to_process)):
        stream = b"".join(frame(message) for message in messages)
        ends = [*sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
        buffer, heard, start = bytearray(), [], 0
        for end in ends:
            buffer += stream[start:end]
            start = end
            while (message := take(buffer)) is not None:
                heard.append(message)
        assert heard == messages
        assert not buffer


@given(data=st.binary(max_size=200))
def test_any_bytes_are_messages_or_garbled(data: bytes) -> None:
    """No other exception; by random bytes, as they are and as the body of a frame."""
    for stream in (data, len(data).to_bytes(4, "big") + data):
        buffer = bytearray(stream)
        garbled = False
        try:
            while take_from_process(buffer, LIMIT) is not None:
                pass
        except Garbled:
            garbled = True
        assert garbled or len(buffer) < 4 or int.from_bytes(buffer[:4], "big") > len(buffer) - 4


def test_a_frame_longer_than_the_limits_allow_is_refused_before_it_is_read() -> None:
    """Its length alone is enough."""
    with pytest.raises(Garbled, match=f"{LIMIT + 1} bytes; {LIMIT} are allowed"):
        take_from_process(bytearray((LIMIT + 1).to_bytes(4, "big")), LIMIT)


@pytest.mark.parametrize(
    "ending",
    [
        Succeeded(None),
        Succeeded(b"1"),
        Failed(ERROR),
        Failed(ERROR, 0),
        Rejected(ERROR),
        Snoozed(0),
        TimedOut(ERROR),
        Stopped(),
    ],
)
def test_outcomes_come_through(ending: Outcome) -> None:
    """All that a living process can tell."""
    buffer = bytearray(frame(done(ending)))
    message = take_from_process(buffer, LIMIT)
    assert isinstance(message, Done)
    assert outcome(message) == ending
    assert type(outcome(message)) is type(ending)


def test_a_process_cannot_tell_that_it_died() -> None:
    """Only the server can."""
    with pytest.raises(AssertionError, match="no handler ends like this"):
        done(Crashed(ERROR))
