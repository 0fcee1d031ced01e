"""From file, environment and command line to one configuration, or to all that is wrong with it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from beaver_actors.config import Config, ConfigError, Limits, Override, Problem, Wal, Workers, load
from beaver_actors.config.catalogue import CATALOGUE, value_of


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "beaver.yaml"


def problems(
    file: Path | None = None,
    text: str | None = None,
    environ: Mapping[str, str] | None = None,
    overrides: Mapping[str, Override] | None = None,
) -> list[str]:
    """All that is wrong, as text, with the file's directory left out."""
    if file is not None and text is not None:
        file.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as refusal:
        load(file, environ, overrides)
    assert str(refusal.value) == "\n".join(map(str, refusal.value.problems))
    return [str(problem).replace(f"{file}", "beaver.yaml") for problem in refusal.value.problems]


def test_nothing_given_is_the_default_server() -> None:
    """By example."""
    assert load() == load(None, {}, {}) == Config()


def test_later_sources_win(file: Path) -> None:
    """By example: defaults, then file, then environment, then command line."""
    file.write_text("workers: {count: 2, threads: 3, max_attempts: 4}\n")
    environ = {"BEAVER_WORKERS__THREADS": "30", "BEAVER_WORKERS__MAX_ATTEMPTS": "40"}
    overrides = {"workers.max_attempts": Override(400, "--max-attempts")}
    assert load(file, environ, overrides) == Config(workers=Workers(count=2, threads=30, max_attempts=400))


def test_every_way_to_write_a_value_is_understood(file: Path) -> None:
    """By example, one of each kind: durations, sizes, lists, null, text that looks like something else."""
    file.write_text(
        "app: shop.jobs:app\n"
        "data_dir: '2024'\n"
        "workers:\n"
        "  queues: [mail, default]\n"
        "  timeout: null\n"
        "  grace: 1.5\n"
        "wal: {segment_size: 1MiB, reserve_size: 2000000}\n"
        "snapshot: {interval: 250ms, min_growth: 1}\n"
        "server:\n"
        "  listen: '[::1]:0'\n"
        "  allowed_origins: ['https://jobs.example.org']\n"
        "limits:\n"  # an empty section: everything in it is commented out
    )
    config = load(file)
    assert config.app == "shop.jobs:app"
    assert config.data_dir == "2024"
    assert config.workers == Workers(queues=("mail", "default"), timeout_ms=None, grace_ms=1500)
    assert config.wal == Wal(segment_bytes=2**20, reserve_bytes=2_000_000)
    assert (config.snapshot.interval_ms, config.snapshot.min_growth) == (250, 1.0)
    assert config.server.listen == "[::1]:0"
    assert config.server.allowed_origins == ("https://jobs.example.org",)
    assert config.limits == Limits()


def test_the_environment_is_read_by_the_kind_of_setting() -> None:
    """By example: a number and a list as YAML, text as it stands, an empty variable as null."""
    environ = {
        "BEAVER_DATA_DIR": "2024",
        "BEAVER_WORKERS__QUEUES": "[mail]",
        "BEAVER_WORKERS__TIMEOUT": "",
        "BEAVER_SERVER__LISTEN": "[::1]:7440",
        "BEAVER_SERVER__TOKEN_FILE": "",
        "BEAVER_METRICS__ENABLED": "false",
        "BEAVER_WAL__SEGMENT_SIZE": "32MiB",
    }
    config = load(None, environ)
    assert config.data_dir == "2024"
    assert config.workers == Workers(queues=("mail",), timeout_ms=None)
    assert (config.server.listen, config.server.token_file) == ("[::1]:7440", None)
    assert (config.metrics.enabled, config.wal.segment_bytes) == (False, 32 * 2**20)


def test_variables_of_others_are_left_alone() -> None:
    """By example: the client's, what Kubernetes sets for a service named beaver, and another prefix."""
    environ = {
        "BEAVER_TOKEN": "secret",
        "BEAVER_URL": "ws://127.0.0.1:7440",
        "BEAVER_PORT": "tcp://10.0.0.1:7440",
        "BEAVER_SERVICE_HOST": "10.0.0.1",
        "BEAVER_PORT_7440_TCP_ADDR": "10.0.0.1",
        "WORKERS__COUNT": "many",
    }
    assert load(None, environ) == Config()


def test_everything_wrong_is_told_at_once_with_its_place(file: Path) -> None:
    """By example: file, line and column; the variable; the flag."""
    found = problems(
        file,
        """\
app: 7
workers:
  count: "8"
  timeot: 5
  queues: [mail, a b]
snapshot: {keep: 1}
retention: 5
walls: {}
""",
        {"BEAVER_WAL__MAILBOX": "many", "BEAVER_WAL__MAILBOXES": "3"},
        {"workers.threads": Override(0, "--threads"), "worker.count": Override(1, "--workers")},
    )
    assert found == [
        'beaver.yaml:1:6: app: expected a module and a name in it, such as "shop.jobs:app", got the number 7',
        "beaver.yaml:3:10: workers.count: expected a whole number from 0 to 1024, got the text '8'",
        "beaver.yaml:4:3: workers.timeot: unknown setting (did you mean 'timeout'?)",
        "beaver.yaml:5:11: workers.queues: expected a list of queue names such as [mail, default], "
        "got the list ['mail', 'a b']",
        "beaver.yaml:6:18: snapshot.keep: expected a whole number from 2 to 100, got the number 1",
        "beaver.yaml:7:12: retention: expected settings, each as `name: value`",
        "beaver.yaml:8:1: walls: unknown setting (did you mean 'wal'?)",
        "environment BEAVER_WAL__MAILBOX: wal.mailbox: "
        "expected a whole number from 1 to 65536, got the text 'many'",
        "environment BEAVER_WAL__MAILBOXES: wal.mailboxes: unknown setting (did you mean 'mailbox'?)",
        "--threads: workers.threads: expected a whole number from 1 to 1000, got the number 0",
        "--workers: worker.count: unknown setting (did you mean 'workers.count'?)",
    ]


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("timeout: 5", "workers.timeout"),
        ("wal: {xyzzy: 5}", None),
        ("metrics: {port: 9090}", "metrics.listen"),
        ("wal: {path: /srv}", "data_dir"),
        ("server: {prot: 1}", None),
        ("workres: {count: 1}", "workers"),
        ("limits: {job_byte: 1}", "job_bytes"),
    ],
)
def test_a_name_that_is_nearly_right_is_recognised(file: Path, text: str, meant: str | None) -> None:
    """By examples: typing errors, settings of another section, names that other programs use."""
    (problem,) = problems(file, text)
    assert problem.endswith(f"unknown setting (did you mean {meant!r}?)" if meant else "unknown setting")


@pytest.mark.parametrize(
    ("variable", "meant"),
    [
        ("BEAVER_WORKERS_COUNT", "BEAVER_WORKERS__COUNT"),
        ("BEAVER_DATADIR", "BEAVER_DATA_DIR"),
        ("BEAVER_SERVER_TOKEN_FILE", "BEAVER_SERVER__TOKEN_FILE"),
    ],
)
def test_a_variable_with_one_underscore_too_few_is_not_ignored(variable: str, meant: str) -> None:
    """By examples."""
    (problem,) = problems(environ={variable: "1"})
    assert problem == f"environment {variable}: unknown setting (did you mean {meant}?)"


def test_a_key_given_twice_is_refused(file: Path) -> None:
    """By example, for settings and for whole sections: neither silently wins."""
    found = problems(file, "workers: {count: 1, count: 2}\nworkers: {}\n")
    assert found == [
        "beaver.yaml:1:21: workers.count: given twice; the first is at beaver.yaml:1:11",
        "beaver.yaml:2:1: workers: given twice; the first is at beaver.yaml:1:1",
    ]


@pytest.mark.parametrize(
    "text",
    [
        "app: [",
        "\tapp: x",
        "app: b: c",
        "app: null\n--- \napp: null",
        "app: *nowhere",
        "app: \x00",
        "- app",
        "just words",
        "[a, b]: 1",
        "app: &a [*a]",
        "app: !!python/object/apply:os.getcwd []",
        "workers: &w\n  count: *w",
        "wal: {mailbox: 2001-99-99}",
        "wal: {mailbox: " + "9" * 5000 + "}",
        "<<: {app: null}",
        "metrics: {listen: 12:30:00}",
        "snapshot: {min_growth: .nan}",
        "snapshot: {min_growth: .inf}",
        "workers: {count: yes}",
        "workers: {timeout: -1}",
        "workers: {timeout: 1e400}",
        "data_dir: ''",
        "workers: {timeout: !!timestamp soon}",
        "workers: {count: !!int ''}",
        '"a\\nb\\e[2J": 1',
        'workers: {timeout: "\\n\\0\\e[2J"}',
    ],
)
def test_a_file_that_cannot_be_used_is_refused_in_one_readable_line(file: Path, text: str) -> None:
    """By examples: whatever is in the file, a problem with its place comes out, and nothing else."""
    (problem,) = problems(file, text)
    assert problem.startswith("beaver.yaml:")
    assert problem.isprintable()
    assert len(problem) < 200


def test_a_value_that_belies_its_tag_is_refused_from_the_environment_too() -> None:
    """By example: a text under the tag of a time, which the YAML library does not foresee."""
    (problem,) = problems(environ={"BEAVER_WAL__MAILBOX": "!!timestamp soon"})
    assert problem.endswith("not valid YAML: the text '!!timestamp soon'")


def test_brackets_without_end_are_refused_before_they_end_the_process(file: Path) -> None:
    """By examples: a hundred thousand of them, closed or not, where PyYAML alone may crash."""
    for text in ("[" * 100_000, "wal: {mailbox: " + "[" * 100_000 + "]" * 100_000 + "}"):
        assert problems(file, text) == [f"{file.name}: not valid YAML: more than 16 levels deep in line 1"]
    (problem,) = problems(environ={"BEAVER_WAL__MAILBOX": "[" * 100_000})
    assert problem.endswith("not valid YAML: a text of 100000 characters")


@given(text=st.text(max_size=40) | st.from_regex(r"(app|wal|workers): [\[{&*!<:a-z0-9\]}, ]{1,20}"))
def test_no_text_whatsoever_gets_past_the_problems(
    text: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Arbitrary texts, by Hypothesis: a configuration or a ConfigError."""
    file = tmp_path_factory.getbasetemp() / "arbitrary.yaml"
    file.write_text(text, encoding="utf-8", newline="")
    try:
        load(file, {"BEAVER_WAL__MAILBOX": text.replace("\x00", ""), "BEAVER_LOG__LEVEL": "info"})
    except ConfigError as error:
        found = error.problems
    else:
        found = ()
    assert all(isinstance(problem, Problem) and str(problem) for problem in found)


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    """By examples: missing, a directory, not text, far too large."""
    binary, large = tmp_path / "binary", tmp_path / "large"
    binary.write_bytes(b"app: \xff")
    large.write_bytes(b"#" * (1024 * 1024 + 1))
    for path, said in (
        (tmp_path / "missing", "No such file"),
        (tmp_path, "Is a directory"),
        (binary, "not UTF-8 text: byte 5 is 0xff"),
        (large, "larger than"),
    ):
        (problem,) = problems(path)
        assert said in problem


def test_a_wrong_value_is_told_even_where_a_later_source_wins(file: Path) -> None:
    """By example: the file is wrong, with or without the variable."""
    found = problems(file, "workers: {count: -1}", {"BEAVER_WORKERS__COUNT": "4"})
    assert len(found) == 1
    assert found[0].startswith("beaver.yaml:1:18: workers.count: ")


def test_a_configuration_cannot_be_changed() -> None:
    """By example: it is read once and shared by all."""
    config = Config()
    with pytest.raises(AttributeError):
        config.workers.count = 3  # type: ignore[misc]


@pytest.mark.parametrize("name", CATALOGUE)
def test_every_setting_refuses_what_it_is_not(name: str, file: Path) -> None:
    """Every setting in turn: a mapping is no value of any but one, and the problem says which and where."""
    section, _, key = name.rpartition(".")
    wrong, got = ("7", "the number 7") if name in ("schedules", "queues") else ("{}", "a mapping")
    text = f"{section}:\n  {key}: {wrong}\n" if section else f"{key}: {wrong}\n"
    (problem,) = problems(file, text)
    assert f": {name}: expected " in problem
    assert problem.endswith(f", got {got}")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("nightly: 7", "nightly: expected the fields of a schedule, got the number 7"),
        ("nightly: {kind: k}", "nightly.cron: expected cron or every, got neither"),
        ("nightly: {kind: k, cron: 61 * * * *}", "nightly.cron: minute: expected 0 to 59"),
        ("nightly: {kind: k, cron: 0 0 31 2 *}", "which never fires"),
        ("nightly: {kind: k, cron: '@daily', tz: Europe/Berln}", 'did you mean "Europe/Berlin"?'),
        ("nightly: {kind: k, every: 1ms}", "nightly.every: expected 1 s to 366 d"),
        ("7: {kind: k, every: 1m}", "expected schedules by name, got the number 7"),
    ],
)
def test_a_schedule_that_is_never_due_is_refused_with_its_name(text: str, told: str, file: Path) -> None:
    """By example: what is wrong about its timing is told with line and column, as for every setting."""
    (problem,) = problems(file, f"schedules:\n  {text}\n")
    wrong = next((field for field in ("cron: ", "every: ", "tz: ") if f"nightly.{field}" in problem), "")
    column = 3 + max(0, text.find(wrong)) if wrong else 3
    assert f"beaver.yaml:2:{column}: schedules: " in problem
    assert told in problem


def test_schedules_are_read_as_they_stand(file: Path) -> None:
    """By example: what their jobs may have is judged where jobs are known."""
    text = "schedules:\n  nightly: {kind: k, cron: '@daily', args: {a: 1}}\n"
    file.write_text(text)
    assert load(file).schedules == {"nightly": {"kind": "k", "cron": "@daily", "args": {"a": 1}}}


@pytest.mark.parametrize("name", CATALOGUE)
def test_every_setting_can_be_set_from_the_environment(name: str) -> None:
    """Every setting in turn: its default, written as text, reads back as the default."""
    setting = CATALOGUE[name]
    written = setting.write(setting.default)
    text = "null" if written is None else "[]" if written == () else str(written).lower()
    config = load(None, {"BEAVER_" + name.replace(".", "__").upper(): text})
    assert value_of(config, setting) == setting.default == value_of(Config(), setting)
