"""Tests of `App`: what the decorator promises, and what it refuses."""

from __future__ import annotations

import dataclasses
import inspect
from typing import Any

import pytest

from beaver_actors.core.job import Backoff, Terms
from beaver_actors.execute.app import App, AppError, JobCall, merge
from beaver_actors.execute.context import Context


def plain(x: int, *, y: str = "y") -> str:
    """What it does."""
    return f"{x}{y}"


async def asynchronous(context: Context, x: int) -> int:
    return x + context.attempt


def test_a_decorated_function_is_still_the_function_it_was() -> None:
    """Calls the decorated thing and compares what can be seen of it."""
    job = App().job("thumbnail")(plain)
    assert job(1, y="z") == "1z"
    assert inspect.signature(job) == inspect.signature(plain)
    assert (job.__doc__, job.__module__) == ("What it does.", __name__)


def test_a_decorated_function_tells_its_kind_isolation_and_terms() -> None:
    """Every option is given once, in the form people write it."""
    job = App().job(
        "thumbnail",
        queue="images",
        priority=5,
        max_attempts=3,
        timeout="5m",
        backoff=["10s", 60],
        retention="7d",
        tags=["a", "b"],
        isolation="process",
    )(plain)
    assert (job.kind, job.isolation) == ("thumbnail", "process")
    assert job.terms == Terms(
        "thumbnail",
        queue="images",
        priority=5,
        max_attempts=3,
        timeout_ms=300_000,
        backoff=Backoff("list", delays_ms=(10_000, 60_000), jitter=False),
        retention_ms=7 * 86_400_000,
        tags=("a", "b"),
    )


def test_what_the_decorator_leaves_open_is_left_to_the_server() -> None:
    """Only options that were named are in the call."""
    app = App()
    assert app.job("a")(plain).options == {}
    assert app.job("b", timeout="none", backoff=30)(plain).options == {
        "timeout_ms": None,
        "backoff": Backoff("fixed", base_ms=30_000, jitter=False),
    }


def test_the_isolation_follows_from_the_kind_of_function() -> None:
    """`def` runs in a thread and `async def` on the loop, unless told otherwise."""
    app = App()
    assert app.job("plain")(plain).isolation == "thread"
    assert app.job("async")(asynchronous).isolation == "async"
    assert app.job("process", isolation="process")(asynchronous).isolation == "process"


def test_a_call_carries_named_arguments() -> None:
    """Positional and named arguments end in the same JSON object; defaults are left to the function."""
    job = App().job("thumbnail", queue="images")(plain)
    assert job.call(1) == JobCall("thumbnail", b'{"x":1}', {"queue": "images"})
    assert job.call(x=1, y="é") == JobCall("thumbnail", '{"x":1,"y":"é"}'.encode(), {"queue": "images"})


def test_the_context_is_no_argument_of_a_call() -> None:
    """The caller of a job leaves it out, the caller of the function does not."""
    job = App().job("thumbnail")(asynchronous)
    assert job.call(3).args == b'{"x":3}'
    assert job.handler.takes_context


def test_the_same_kind_twice_is_refused() -> None:
    """In one app, and when two apps are put together."""
    app, other = App(), App()
    app.job("a")(plain)
    other.job("a")(asynchronous)
    with pytest.raises(AppError, match=r"job 'a' is defined twice: by .*plain and by .*asynchronous"):
        app.job("a")(asynchronous)
    with pytest.raises(AppError, match="job 'a' is defined twice"):
        merge(app, other)


def test_apps_are_served_together() -> None:
    """The merged app has the kinds of all; including the same app twice changes nothing."""
    app, other = App(), App()
    job = app.job("a")(plain)
    other.job("b")(asynchronous)
    whole = merge(app, other)
    whole.include(app)
    assert set(whole.handlers()) == {"a", "b"}
    assert whole.functions["a"] is job


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        ("", {}, "expected a kind of 1 to 200 letters"),
        ("two words", {}, "expected a kind of 1 to 200 letters"),
        ("line\n", {}, "expected a kind of 1 to 200 letters"),
        (plain, {}, "expected a kind .* got <function"),
        ("demo.mine", {}, "kinds that begin with 'demo.' are the server's own"),
        ("a", {"queue": "ö"}, "queue: expected a name"),
        ("a", {"priority": 101}, "priority: expected a whole number from -100 to 100, got 101"),
        ("a", {"max_attempts": True}, "max_attempts: expected a whole number from 1 to 1000, got True"),
        ("a", {"timeout": "5 parsecs"}, 'timeout: expected .* got "5 parsecs"'),
        ("a", {"timeout": 0}, "timeout: expected more than nothing"),
        ("a", {"timeout": float("nan")}, "timeout: expected"),
        ("a", {"backoff": []}, "backoff: expected 1 to 1000 delays, got 0"),
        ("a", {"backoff": [1, "x"]}, r"backoff\[1\]: expected"),
        ("a", {"backoff": Backoff("list")}, "backoff: a list needs at least one delay"),
        ("a", {"retention": -1}, "retention: expected"),
        ("a", {"tags": "tag"}, "tags: expected at most 20 texts"),
        ("a", {"tags": [""]}, "tags: expected at most 20 texts"),
        ("a", {"isolation": "fork"}, "isolation: expected one of async, thread, process, got 'fork'"),
        ("a", {"isolation": "async"}, "isolation 'async' needs `async def`"),
    ],
)
def test_an_option_that_does_not_fit_is_refused_by_name(
    kind: Any, options: dict[str, Any], message: str
) -> None:
    """One bad option at a time."""
    with pytest.raises(AppError, match=message):
        App().job(kind, **options)(plain)


def test_only_functions_that_return_one_value_can_be_jobs() -> None:
    """Classes, generators, jobs, and an `async def` for a thread."""
    app = App()

    def generator() -> Any:
        yield 1

    async def async_generator() -> Any:
        yield 1

    for function in (generator, async_generator):
        with pytest.raises(AppError, match="is a generator"):
            app.job("a")(function)
    with pytest.raises(AppError, match="expected a function"):
        app.job("a")(dict)
    with pytest.raises(AppError, match="runs on the event loop or in a process"):
        app.job("a", isolation="thread")(asynchronous)
    with pytest.raises(AppError, match="the function is the job 'b' already"):
        app.job("a")(app.job("b")(plain))


def test_annotations_may_name_what_is_defined_later() -> None:
    """Annotations are read when the app is served, not when the function is decorated."""
    app = App()

    @app.job("late")
    def late(value: Later) -> int:
        return value.x

    assert late.call(Later(1)).args == b'{"value":{"x":1}}'


@dataclasses.dataclass
class Later:
    x: int


def test_an_app_with_a_parameter_that_json_cannot_fill_is_not_served() -> None:
    """The job and the parameter are named."""
    app = App()

    @app.job("bad")
    def bad(lock: NoJson) -> None: ...

    with pytest.raises(AppError, match="job 'bad': parameter 'lock': no JSON value becomes a NoJson"):
        app.handlers()


class NoJson:
    pass
