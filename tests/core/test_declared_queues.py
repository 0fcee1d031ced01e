"""Rules of queues that the configuration declares, as scripts for the core."""

from __future__ import annotations

from typing import Any

from beaver_actors.core.answers import Change, Changed, Refused
from beaver_actors.core.commands import Configure, DeclareQueues, DeleteQueue, Drain, Pause
from beaver_actors.core.facts import QueueConfigured
from beaver_actors.core.limits import QueueRules, Rate
from beaver_actors.testing.playbook import NOON_MS, Playbook


def wants(queue: str, **rules: Any) -> Configure:
    return Configure(queue, QueueRules(**rules), frozenset(rules))


def declared(*queues: Configure) -> Playbook:
    book = Playbook()
    book.do(DeclareQueues(queues))
    return book


def test_what_is_declared_holds_and_is_said_once() -> None:
    """P3: a start that finds everything as declared writes nothing; one that finds a change writes that."""
    book = declared(wants("mail", concurrency=2, rate=Rate(1, 1000, 1)))
    assert book.facts == [
        QueueConfigured("mail", NOON_MS, QueueRules(None, 2, Rate(1, 1000, 1)), ("concurrency", "rate"))
    ]
    assert book.do(DeclareQueues((wants("mail", rate=Rate(1, 1000, 1), concurrency=2),))) == Changed((), 1)
    assert book.facts == []
    answer = book.do(DeclareQueues((wants("mail", concurrency=3, rate=Rate(1, 1000, 1)),)))
    assert answer == Changed((Change("mail", True),), 2)
    assert book.state.queues["mail"].rules.concurrency == 3


def test_a_declared_rule_is_changed_where_it_is_declared_and_others_here() -> None:
    """P3: else the next start would undo it silently. What is not named there is anybody's."""
    book = declared(wants("mail", concurrency=2, ageing_ms=5))
    for rules, name in (({"concurrency": 9}, "concurrency"), ({"ageing_ms": None}, "ageing")):
        answer = book.do(wants("mail", **rules))
        assert isinstance(answer, Refused)
        assert answer.code == "conflict"
        assert f"rule {name} of queue mail stands in the server's configuration" in answer.message
    answer = book.do(wants("mail", concurrency=9, jobs_max=7))
    assert isinstance(answer, Refused)
    assert book.state.queues["mail"].rules.jobs_max is None
    book.expect(
        wants("mail", concurrency=2, jobs_max=7),
        QueueConfigured("mail", NOON_MS, QueueRules(7, 2, ageing_ms=5), ("concurrency", "ageing_ms")),
    )


def test_a_null_that_is_declared_keeps_a_rule_away() -> None:
    """P3: whoever writes `concurrency: null` means that nobody shall set one."""
    book = declared(wants("mail", concurrency=None))
    assert isinstance(book.do(wants("mail", concurrency=1)), Refused)


def test_a_declaration_takes_over_and_what_is_declared_no_more_is_taken_away() -> None:
    """P3: rules that were set by request and are not named there stay, before and after."""
    book = Playbook()
    book.do(wants("mail", concurrency=9, jobs_max=7))
    book.do(DeclareQueues((wants("mail", concurrency=2), wants("other", concurrency=1))))
    assert book.state.queues["mail"].rules == QueueRules(7, 2)
    answer = book.do(DeclareQueues(()))
    assert answer == Changed((Change("mail", True), Change("other", True)), book.state.lsn)
    assert book.state.queues["mail"].rules == QueueRules(7)
    assert book.state.queues["mail"].declared == ()
    assert isinstance(book.do(wants("mail", concurrency=4)), Changed)


def test_a_declared_queue_is_paused_and_drained_by_anyone_but_not_deleted() -> None:
    """P3: a pause, which an operator asked for, outlives the next start."""
    book = declared(wants("mail", concurrency=2))
    book.do(Pause("mail"))
    book.do(Drain("mail"))
    answer = book.do(DeleteQueue("mail"))
    assert isinstance(answer, Refused)
    assert answer.code == "conflict"
    book.do(DeclareQueues((wants("mail", concurrency=3),)))
    assert (book.state.queues["mail"].paused, book.state.queues["mail"].draining) == (True, True)
    book.do(DeclareQueues(()))
    assert isinstance(book.do(DeleteQueue("mail")), Changed)


def test_a_rate_that_is_declared_again_keeps_what_is_spent() -> None:
    """P3: a restart is no way around a rate; another rate begins with a full bucket."""
    slow = wants("default", rate=Rate(1, 60_000, 1))
    book = declared(slow)
    book.enqueue("a", "b")
    assert len(book.lease(5)) == 1
    book.do(DeclareQueues((slow,)))
    assert not book.lease(5)
