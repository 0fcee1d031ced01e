"""Facts to the body of a frame and back.

A body is one CBOR array with a fact in each place: `[code, *fields]`, the fields in the order of the class.
Codes are for ever. Trailing fields that have a default may be absent, so a fact can grow one; a fact that is
not understood to the last field is refused, never skipped. This file knows nothing of frames or files.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple, cast

import msgspec

from beaver_actors.codec.extras_codec import MoreRow, contradiction, extras_from, more_values, trimmed
from beaver_actors.codec.packing import (
    CodecError as CodecError,
    convert,
    dump,
    load,
    pack_terms,
    unpack_terms,
)
from beaver_actors.codec.ranges import Time, beyond
from beaver_actors.codec.rules_codec import RuleName, RulesRow, in_order, rules_from, rules_values
from beaver_actors.codec.schedule_codec import PackedScheduleFired, PackedScheduleSet, pack_plan, unpack_plan
from beaver_actors.core.facts import (
    EVENT_NAMES,
    Fact,
    JobCancelled,
    JobCancelRequested,
    JobCompleted,
    JobDeleted,
    JobDied,
    JobEnqueued,
    JobFailed,
    JobMoved,
    JobProgressed,
    JobReleased,
    JobRescued,
    JobRetried,
    JobSnoozed,
    JobStarted,
    JobUnblocked,
    OperationAdvanced,
    OperationEnded,
    OperationStarted,
    QueueConfigured,
    QueueDeleted,
    QueueDrainStarted,
    QueuePaused,
    QueueResumed,
    ScheduleFired,
    ScheduleRemoved,
    ScheduleSet,
)
from beaver_actors.core.job import Extras, Terms
from beaver_actors.core.limits import QueueRules

FACT_CODES: Mapping[int, type[Fact]] = {
    1: JobEnqueued,
    2: JobStarted,
    3: JobProgressed,
    4: JobCompleted,
    5: JobFailed,
    6: JobSnoozed,
    7: JobReleased,
    8: JobRescued,
    9: JobDied,
    10: JobCancelRequested,
    11: JobCancelled,
    12: JobRetried,
    13: JobDeleted,
    14: QueuePaused,
    15: QueueResumed,
    16: JobUnblocked,
    24: OperationStarted,
    25: OperationAdvanced,
    26: OperationEnded,
    17: ScheduleSet,
    18: ScheduleRemoved,
    19: ScheduleFired,
    20: QueueConfigured,
    21: QueueDrainStarted,
    22: QueueDeleted,
    23: JobMoved,
}
"""Numbers on disk. Never change or reuse one; a new fact takes the next."""

_CODE_OF: Mapping[type[Fact], int] = {fact: code for code, fact in FACT_CODES.items()}
_ENQUEUED = _CODE_OF[JobEnqueued]
_SCHEDULE_SET, _SCHEDULE_FIRED = _CODE_OF[ScheduleSet], _CODE_OF[ScheduleFired]
_CONFIGURED = _CODE_OF[QueueConfigured]
_STARTED = _CODE_OF[JobStarted]
_TERMS, _EXTRAS = JobEnqueued._fields.index("terms"), JobEnqueued._fields.index("extras")
_PLAN = ScheduleSet._fields.index("plan")
_GROWN = frozenset({JobEnqueued, JobStarted, JobCancelled, JobRetried})
"""Facts that have a last field which the first release did not know."""
_ERROR_AT = {fact: fact._fields.index("error") for fact in FACT_CODES.values() if "error" in fact._fields}
_BYTES_AT = {
    fact: place
    for fact in FACT_CODES.values()
    for place, name in enumerate(fact._fields)
    if name in ("args", "progress", "result")
}
_BYTES = frozenset({bytes, type(None)})


def encode_facts(facts: Sequence[Fact]) -> bytes:
    """Return the body of a frame.

    What could not be read after a restart must not be written and acknowledged now, so every fact goes
    through the check that reading makes. Only of CBOR itself it is taken on trust that plain text, bytes and
    numbers come back as they were; what is not plain is refused.

    Raises:
        CodecError: a fact that the format cannot hold, or that would come back as another.
    """
    rows: list[tuple[Any, ...]] = []
    groups: dict[type[Fact], tuple[list[int], list[Any]]] = {}
    terms: Terms | None = None
    packed = b""
    for place, fact in enumerate(cast(Sequence[Any], facts)):
        kind = type(fact)
        # Plain tuples, inside too: what has the right class is not looked into by what is to check it.
        values: tuple[Any, ...] = fact[:]
        if kind in _ERROR_AT and isinstance(fact[_ERROR_AT[kind]], tuple):
            at = _ERROR_AT[kind]
            values = (*fact[:at], fact[at][:], *fact[at + 1 :])
        elif kind is JobEnqueued:
            if fact[_TERMS] is not terms:
                packed = pack_terms(fact[_TERMS])
                terms = fact[_TERMS]
            extras = fact[_EXTRAS]
            values = (*fact[:_TERMS], packed, *fact[_TERMS + 1 : _EXTRAS], *_split_extras(extras))
        elif kind is ScheduleSet:
            values = (*fact[:_PLAN], pack_plan(fact[_PLAN]), *fact[_PLAN + 1 :])
        elif kind is QueueConfigured:
            if type(fact.rules) is not QueueRules:
                raise CodecError(f"queue_configured.rules: expected rules, got {type(fact.rules).__name__}")
            values = (*fact[:2], rules_values(fact.rules), fact.declared)
        group = groups.get(kind)
        if group is None:
            group = groups[kind] = [], []
        group[0].append(place)
        group[1].append(values)
        if kind in _GROWN and (values[-1] is None or values[-1] is False):
            # A field that came later is left out while it says nothing: the bytes are what they always were.
            values = values[:-1]
        elif kind is JobEnqueued:
            values = (*values[:-1], trimmed(values[-1]))
        elif kind is QueueConfigured and not fact.declared:
            values = values[:-1]
        rows.append((_CODE_OF[kind], *values))
    body = dump(rows)
    for kind, (places, group_values) in groups.items():
        checked = _checked(_CODE_OF[kind], places, group_values)
        if kind is QueueConfigured:
            _check_declared(checked)
            checked = [(*fact[:2], rules_values(rules_from(fact.rules)), fact.declared) for fact in checked]
        if checked != group_values or not _has_bytes(kind, group_values):
            raise CodecError(f"a fact among {len(places)} {EVENT_NAMES[kind]} would not come back as it is")
    return body


def decode_facts(body: bytes) -> list[Fact]:
    """Read the body of a frame.

    Raises:
        CodecError: anything but an array of known facts, each complete, each field of its type and range.
    """
    rows = load(body)
    if type(rows) is not list:
        raise CodecError(f"expected an array of facts, got {type(rows).__name__}")
    # All facts of one kind are checked in one call, which costs a tenth of a call for each.
    groups: dict[int, list[int]] = {}
    for place, row in enumerate(rows):
        if type(row) is not list or not row:
            raise CodecError(f"facts[{place}]: expected an array that begins with a code, got {row!r:.80}")
        code = row[0]
        if type(code) is not int or code not in FACT_CODES:
            raise CodecError(f"facts[{place}]: unknown fact code {code!r:.80}")
        del row[0]
        groups.setdefault(code, []).append(place)
    for code, places in groups.items():
        facts = _checked(code, places, [rows[place] for place in places])
        if code == _ENQUEUED:
            _check_extras(facts)
            facts = _unpacked_enqueued(facts)
        elif code == _SCHEDULE_SET:
            facts = [ScheduleSet._make(_unpacked_plan(fact)) for fact in facts]
        elif code == _SCHEDULE_FIRED:
            facts = list(map(ScheduleFired._make, facts))
        elif code == _CONFIGURED:
            _check_declared(facts)
            facts = [
                QueueConfigured(row.queue, row.at_ms, rules_from(row.rules), row.declared) for row in facts
            ]
        if len(groups) == 1:
            return facts
        for place, fact in zip(places, facts, strict=True):
            rows[place] = fact
    return rows


def _checked(code: int, places: Sequence[int], values: Sequence[Sequence[Any]]) -> list[Any]:
    """These values as facts of one kind, terms still packed; each complete, each field of its type and range.

    Args:
        places: where in the body they stand, for the message.
    """
    try:
        facts: list[Any] = msgspec.convert(values, _LIST_OF[code], builtin_types=(bytes,))
    except msgspec.ValidationError:
        # Once more, one by one, to name the fact and the field.
        fact_type = FACT_CODES[code]
        for place, value in zip(places, values, strict=True):
            where = f"facts[{place}] ({EVENT_NAMES[fact_type]})"
            row_type: Any = _ROWS.get(code, fact_type)
            convert(value, row_type, where, row_type._fields)
        raise
    if code not in _ROWS and (found := beyond(facts)):
        position, name = found
        raise CodecError(f"facts[{places[position]}] ({EVENT_NAMES[FACT_CODES[code]]}).{name}: out of range")
    return facts


def _has_bytes(kind: type[Fact], values: Sequence[Sequence[Any]]) -> bool:
    """Whether what should be bytes is: another buffer passes for bytes when it is checked, and CBOR makes
    something else of it."""
    place = _BYTES_AT.get(kind)
    return place is None or _BYTES.issuperset([type(value[place]) for value in values])


def _unpacked_enqueued(packed: Sequence[_PackedEnqueued]) -> list[Fact]:
    """These facts with their terms; equal times are one object, as they were when they were told."""
    job_ids, ats, terms, args, run_ats, expiries, more = zip(*packed, strict=True)
    known_terms = {value: unpack_terms(value) for value in set(terms)}
    times = dict(zip(ats, ats, strict=True))
    columns = (job_ids, map(times.get, ats), map(known_terms.get, terms), args)
    extras = map(extras_from, expiries, more)
    return list(map(_new_enqueued, zip(*columns, map(times.get, run_ats, run_ats), extras, strict=True)))


def _unpacked_plan(packed: PackedScheduleSet) -> tuple[Any, ...]:
    return (*packed[:_PLAN], unpack_plan(packed.plan), *packed[_PLAN + 1 :])


def _check_extras(packed: Sequence[_PackedEnqueued]) -> None:
    for fact in packed:
        if fact.more is not None and (found := contradiction(fact.more)):
            raise CodecError(f"job_enqueued of job {fact.job_id:.80}: {found}")


def _check_declared(facts: Sequence[_ConfiguredRow]) -> None:
    for fact in facts:
        if not in_order(fact.declared):
            raise CodecError(f"queue_configured of queue {fact.queue:.80}: declared rules out of order")


def _split_extras(extras: Extras | None) -> tuple[int | None, tuple[Any, ...] | None]:
    if extras is None:
        return None, None
    if type(extras) is not Extras:
        raise CodecError(f"job_enqueued.extras: expected extras, got {type(extras).__name__}")
    return extras.expires_at_ms, more_values(extras)


_new_enqueued: Callable[[tuple[Any, ...]], JobEnqueued] = partial(tuple.__new__, JobEnqueued)


class _PackedEnqueued(NamedTuple):
    """`JobEnqueued` with its terms still packed."""

    job_id: str
    at_ms: Time
    terms: bytes
    args: bytes
    run_at_ms: Time
    expires_at_ms: Time | None = None
    more: MoreRow | None = None


class _ConfiguredRow(NamedTuple):
    """`QueueConfigured` with its rules as they are stored."""

    queue: str
    at_ms: Time
    rules: RulesRow
    declared: tuple[RuleName, ...] = ()


_ROWS: Mapping[int, type[Any]] = {
    _ENQUEUED: _PackedEnqueued,
    _SCHEDULE_SET: PackedScheduleSet,
    _SCHEDULE_FIRED: PackedScheduleFired,
    _CONFIGURED: _ConfiguredRow,
}


_LIST_OF: Mapping[int, Any] = {
    code: list[_ROWS.get(code, fact)]  # type: ignore[misc]  # a value, no annotation
    for code, fact in FACT_CODES.items()
}
