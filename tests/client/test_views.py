"""What the client shows has the fields of the wire, no more and no fewer."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec
import pytest

from beaver_actors.client import Event, Gap, JobInfo, ProtocolError
from beaver_actors.client.views import ENDINGS, event_from_wire, read_part
from beaver_actors.codec.wire_event_objects import EventObject
from beaver_actors.codec.wire_fields import EVENTS
from beaver_actors.codec.wire_job_objects import JobObject
from beaver_actors.codec.wire_watch_messages import GapPush


@pytest.mark.parametrize(("shown", "sent"), [(JobInfo, JobObject), (Event, EventObject)])
def test_what_is_shown_is_what_was_sent(shown: type[msgspec.Struct], sent: type[msgspec.Struct]) -> None:
    """A field that the protocol gains is not forgotten here. By comparing names and order."""
    assert shown.__struct_fields__ == sent.__struct_fields__


def test_the_events_that_end_a_job_exist() -> None:
    """A renamed event would leave everyone waiting."""
    assert ENDINGS <= EVENTS


def test_an_event_has_times_and_values_of_python() -> None:
    """Times are aware, JSON is read, what is left out is None; and it can be written again."""
    sent = EventObject(
        lsn=3,
        event="job_completed",
        at="2026-01-01T10:00:00.250Z",
        job_id="a",
        result=msgspec.Raw(b'{"x":1}'),
    )
    event = event_from_wire(sent)
    assert isinstance(event, Event)
    assert event.at == datetime(2026, 1, 1, 10, 0, 0, 250_000, tzinfo=UTC)
    assert (event.result, event.kind, event.run_at) == ({"x": 1}, None, None)
    assert msgspec.json.decode(msgspec.json.encode(event))["result"] == {"x": 1}
    assert event_from_wire(GapPush(subscription="s", from_lsn=1, to_lsn=2)) == Gap(1, 2)


def test_an_event_that_cannot_be_read_is_told() -> None:
    """A time that is none."""
    with pytest.raises(ProtocolError, match="cannot be read"):
        event_from_wire(EventObject(lsn=1, event="job_started", at="yesterday"))


def test_a_reply_without_the_part_that_is_needed_is_told() -> None:
    """Instead of an AttributeError somewhere."""
    with pytest.raises(ProtocolError, match="lacks the part"):
        read_part(JobInfo, msgspec.UNSET)
    with pytest.raises(ProtocolError, match="cannot be read"):
        read_part(JobInfo, msgspec.Raw(b'{"id":1}'))
