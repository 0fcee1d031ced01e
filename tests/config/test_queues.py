"""The setting `queues`: what may stand there, and what is said of what may not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from beaver_actors.config import ConfigError, load
from beaver_actors.config.queues import read_queues
from beaver_actors.core.commands import Configure
from beaver_actors.core.limits import QueueRules, Rate


def read(text: str) -> tuple[Configure, ...]:
    return read_queues(yaml.safe_load(text))


def test_rules_are_read_as_queues_set_would_write_them() -> None:
    """By example: every rule, rates as text and in parts, null for "no such limit"."""
    text = """
    mail: {concurrency: 20, rate: 100/1m burst 10, key_concurrency: 2, ageing: 10m, jobs_max: 0}
    web: {rate: {limit: 5}, key_rate: {limit: 3, period: 2m, burst: 9}, concurrency: null}
    """
    mail = QueueRules(0, 20, Rate(100, 60_000, 10), 2, ageing_ms=600_000)
    web = QueueRules(rate=Rate(5, 1_000, 5), key_rate=Rate(3, 120_000, 9))
    assert read(text) == (
        Configure(
            "mail", mail, frozenset({"concurrency", "rate", "key_concurrency", "ageing_ms", "jobs_max"})
        ),
        Configure("web", web, frozenset({"rate", "key_rate", "concurrency"})),
    )


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[]", "expected queues, each as `name: {concurrency: 4, rate: 100/1m}`, got"),
        ("{no name: {concurrency: 1}}", "expected the name of a queue"),
        ("{7: {concurrency: 1}}", "expected the name of a queue"),
        ("{mail: 7}", "mail: expected the rules of a queue, got the number 7"),
        ("{mail: {}}", "mail: expected at least one of concurrency"),
        ("{mail: {colour: red}}", "mail: expected rules out of concurrency"),
        ("{mail: {ageing_ms: 5}}", "mail: expected rules out of concurrency"),
        (
            "{mail: {concurrency: 0}}",
            "mail.concurrency: expected a whole number from 1 to 1000000, got the number 0",
        ),
        ("{mail: {concurrency: true}}", "mail.concurrency: expected a whole number"),
        ("{mail: {key_concurrency: 1.5}}", "mail.key_concurrency: expected a whole number"),
        ("{mail: {jobs_max: -1}}", "mail.jobs_max: expected a whole number from 0 to 1000000000"),
        ("{mail: {rate: 100}}", 'mail.rate: expected a rate such as "100/1m"'),
        ("{mail: {rate: often}}", 'mail.rate: expected a rate such as "100/1m"'),
        ("{mail: {rate: 0/1m}}", "mail.rate.limit: expected a whole number from 1"),
        ("{mail: {rate: 1/31d}}", "mail.rate.period: expected more than 0 and at most 30 days"),
        ("{mail: {rate: 1/1..5m}}", "mail.rate.period: expected a number of seconds"),
        ("{mail: {key_rate: {period: 1m}}}", "mail.key_rate.limit: expected a whole number from 1"),
        ("{mail: {key_rate: {limit: 1, colour: 2}}}", "mail.key_rate: expected limit, period and burst"),
        ("{mail: {key_rate: {limit: 1, period: 0}}}", "mail.key_rate.period: expected more than 0"),
        ("{mail: {rate: 5/1m burst 0}}", "mail.rate.burst: expected a whole number from 1"),
        ("{mail: {ageing: 0s}}", "mail.ageing: expected more than 0, or null for none"),
        ("{mail: {ageing: soon}}", "mail.ageing: expected a number of seconds"),
    ],
)
def test_what_makes_no_sense_is_told_with_queue_and_rule(text: str, told: str) -> None:
    """By example: the queue, the rule, what was expected and what came."""
    with pytest.raises(ValueError, match=r"expected") as raised:
        read(text)
    assert told in str(raised.value)


def test_a_wrong_rule_is_told_with_its_place_in_the_file(tmp_path: Path) -> None:
    """By example: line and column, as for every setting."""
    file = tmp_path / "beaver.yaml"
    file.write_text("queues:\n  mail: {concurrency: many}\n")
    with pytest.raises(ConfigError) as raised:
        load(file)
    (problem,) = raised.value.problems
    told = "mail.concurrency: expected a whole number from 1 to 1000000, got the text 'many'"
    assert str(problem) == f"{file}:2:10: queues: {told}"


def test_queues_are_kept_as_they_stand(tmp_path: Path) -> None:
    """By example: so that `config check --json` prints what one would write."""
    file = tmp_path / "beaver.yaml"
    file.write_text("queues:\n  mail: {rate: 5/1m}\n")
    given: dict[str, Any] = {"mail": {"rate": "5/1m"}}
    assert load(file).queues == given


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("queues:\n  mail: {concurrency: 1}\n  mail: {concurrency: 2}\n", "3:3: queues: mail: given twice"),
        ("queues:\n  mail: {concurrency: 1, concurrency: 2}\n", "2:26: queues: concurrency: given twice"),
        (
            "schedules:\n  a: {every: 5, kind: k, args: {x: [{y: 1, y: 2}]}}\n",
            "2:44: schedules: y: given twice",
        ),
    ],
)
def test_what_is_given_twice_is_told(text: str, told: str, tmp_path: Path) -> None:
    """By example: YAML would let the last one win without a word."""
    file = tmp_path / "beaver.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError) as raised:
        load(file)
    (problem,) = raised.value.problems
    assert str(problem) == f"{file}:{told}"


def test_queues_can_be_given_in_the_environment() -> None:
    """By example: as YAML, like every setting."""
    assert load(None, {"BEAVER_QUEUES": "{mail: {rate: 5/1m}}"}).queues == {"mail": {"rate": "5/1m"}}
