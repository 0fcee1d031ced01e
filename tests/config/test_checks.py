"""Settings that do not go together."""

from __future__ import annotations

from pathlib import Path

import pytest

from beaver_actors.config import Config, ConfigError, Override, load
from beaver_actors.config.checks import conflicts


@pytest.mark.parametrize(
    ("text", "setting", "said"),
    [
        ("limits: {message_bytes: 512KiB}", "limits.message_bytes", "less than limits.job_bytes, 1MiB"),
        ("limits: {result_bytes: 9MiB}", "limits.message_bytes", "one result must fit into a message"),
        ("wal: {segment_size: 128MiB}", "wal.reserve_size", "64MiB is less than wal.segment_size, 128MiB"),
        ("wal: {reserve_size: 512KiB}", "wal.reserve_size", "room for a result"),
        ("limits: {pending_jobs: 10}", "limits.queue_jobs", "more than limits.pending_jobs, 10"),
        ("server: {listen: ':9090'}", "metrics.listen", "127.0.0.1:9090 is the address of server.listen too"),
    ],
)
def test_settings_that_do_not_go_together_are_refused(
    text: str, setting: str, said: str, tmp_path: Path
) -> None:
    """Each rule by an example: the problem is placed where something was given."""
    file = tmp_path / "beaver.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError) as refusal:
        load(file)
    assert setting in {problem.setting for problem in refusal.value.problems}
    assert said in str(refusal.value)
    assert all(problem.origin.startswith(f"{file}:1:") for problem in refusal.value.problems)


def test_the_defaults_go_together() -> None:
    """By example."""
    assert list(conflicts(Config())) == []


def test_a_port_chosen_by_the_system_is_no_conflict() -> None:
    """By example: port 0 twice is two ports."""
    listens = {"server.listen": Override(":0", "--listen"), "metrics.listen": Override(":0", "--metrics")}
    assert load(overrides=listens).metrics.listen == ":0"


def test_a_value_that_is_wrong_by_itself_is_told_once() -> None:
    """By example: no second problem from comparing what could not be read."""
    with pytest.raises(ConfigError) as refusal:
        load(None, {"BEAVER_LIMITS__MESSAGE_BYTES": "lots", "BEAVER_LIMITS__JOB_BYTES": "9MiB"})
    assert [problem.setting for problem in refusal.value.problems] == ["limits.message_bytes"]
