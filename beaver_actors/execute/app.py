"""`App`: the functions that a server can run as jobs, each under its kind.

This file holds what a user says about a function when decorating it, and makes two things of it: the call as
others enqueue it (`JobCall`) and the handler as a worker runs it (`Handler`). It runs neither.
"""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import (
    Any,
    Concatenate,
    Generic,
    Literal,
    NamedTuple,
    ParamSpec,
    Protocol,
    TypeVar,
    cast,
    overload,
)

from msgspec import Raw

from beaver_actors.almanac.timing import check_timing
from beaver_actors.codec.wire_checks import check_choice, check_schedule
from beaver_actors.codec.wire_errors import WireError
from beaver_actors.codec.wire_fields import KIND_PATTERN
from beaver_actors.codec.wire_schedule_objects import NewScheduleObject, ScheduledJobObject
from beaver_actors.core.job import Backoff, OnConflict, Terms, UniqueUntil
from beaver_actors.core.schedule import CATCH_UP, OVERLAP, CatchUp, Overlap
from beaver_actors.execute.arguments import Parameters
from beaver_actors.execute.context import Context
from beaver_actors.execute.hooks import Around, Hooks, OnFailure
from beaver_actors.execute.options import read_options, shown
from beaver_actors.execute.results import as_it_is, result_reader

P = ParamSpec("P")
A = ParamSpec("A")
J = TypeVar("J", bound="JobFunction[..., ..., Any, Any]")
R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)
V = TypeVar("V")
V_co = TypeVar("V_co", covariant=True)

Isolation = Literal["async", "thread", "process"]
ISOLATIONS: tuple[Isolation, ...] = ("async", "thread", "process")

DEMO_PREFIX = "demo."
"""Kinds that begin so belong to the server's own demo app, which bears this name without the dot."""


class AppError(Exception):
    """The app cannot be served as it is; the message says which part and why."""


@dataclass(frozen=True, slots=True)
class JobCall(Generic[V_co]):
    """A call of a job function that has not happened yet: what a client enqueues. `V` is what it will
    return."""

    kind: str
    args: bytes
    """The JSON object of the named arguments."""
    options: Mapping[str, Any]
    """Fields of `Terms` that the function names; what it leaves open is for the server to say."""
    read_result: Callable[[Any], V_co] = field(default=as_it_is, compare=False, repr=False)
    """Makes of the result, as JSON has it, what the function returned; raises ValueError if it is nothing
    like it."""


class Handler(NamedTuple):
    """A job function as a worker runs it, with everything that can be known before the first job."""

    kind: str
    function: Callable[..., Any]
    isolation: Isolation
    asynchronous: bool
    takes_context: bool
    decode: Callable[[bytes], dict[str, Any]]
    """The job's args as keyword arguments; raises BadArguments."""
    hooks: Hooks = Hooks()
    """Of its app."""


class JobFunction(Generic[P, A, R_co, V_co]):
    """A decorated function: still callable as it was, and known to its app as a job kind.

    `P` are the parameters of the function, `A` those without the leading `Context`, which callers of the job
    do not give. `R` is what a call returns, `V` what the job results in: for an `async def` what it awaits
    to.
    """

    def __init__(
        self,
        kind: str,
        function: Callable[P, R_co],
        isolation: Isolation | None,
        options: Mapping[str, Any],
        app: App,
    ) -> None:
        functools.update_wrapper(self, function)
        self._app = app
        self.kind = kind
        self.function = function
        self.asynchronous = inspect.iscoroutinefunction(function)
        self.isolation: Isolation = isolation or ("async" if self.asynchronous else "thread")
        self.options = options
        """Fields of `Terms` that the decorator names."""

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R_co:
        """Call the function here and now; no job comes of it."""
        return self.function(*args, **kwargs)

    def call(self, *args: A.args, **kwargs: A.kwargs) -> JobCall[V_co]:
        """Make a job of a call, for a client's `enqueue`.

        Raises:
            TypeError: an argument is missing, unknown, of the wrong type, or nothing JSON can carry.
        """
        return JobCall(self.kind, self._parameters.encode(args, kwargs), self.options, self._read_result)

    @property
    def terms(self) -> Terms:
        """The terms its jobs run on where neither the client nor the server's settings say otherwise."""
        return Terms(self.kind, **self.options)

    @property
    def handler(self) -> Handler:
        """The function as a worker runs it. Raises AppError if its parameters cannot be filled from JSON."""
        try:
            parameters = self._parameters
        except TypeError as error:
            raise AppError(f"job '{self.kind}': {error}") from None
        return Handler(
            self.kind,
            self.function,
            self.isolation,
            self.asynchronous,
            parameters.takes_context,
            parameters.decode,
            self._app.hooks,
        )

    @functools.cached_property
    def _parameters(self) -> Parameters:
        # Not read before it is needed: annotations may name classes defined further down in the module.
        return Parameters(self.function)

    @functools.cached_property
    def _read_result(self) -> Callable[[Any], V_co]:
        return result_reader(self.function)


class _Declared(NamedTuple):
    """A schedule of a job function. Its arguments are read when they are needed, as the function's parameters
    are."""

    job: JobFunction[..., ..., Any, Any]
    args: Mapping[str, Any]
    options: Mapping[str, Any]
    """Of its jobs, beside what the function's own definition says."""
    wanted: Callable[..., NewScheduleObject]

    def read(self, name: str) -> NewScheduleObject:
        try:
            args = self.job.call(**self.args).args
        except TypeError as error:
            raise AppError(f"schedule '{name}': args: {error}") from None
        return self.wanted(job=ScheduledJobObject(kind=self.job.kind, args=Raw(args), **self.options))


def _said(error: Exception) -> str:
    return error.message if isinstance(error, WireError) else str(error)


class _Decorator(Protocol):
    """What `App.job` returns: it takes the `Context`, if there is one, off the parameters of the job, and
    looks through the coroutine of an `async def`."""

    @overload
    def __call__(
        self, function: Callable[Concatenate[Context, A], Coroutine[Any, Any, V]], /
    ) -> JobFunction[Concatenate[Context, A], A, Coroutine[Any, Any, V], V]: ...

    @overload
    def __call__(
        self, function: Callable[Concatenate[Context, A], R], /
    ) -> JobFunction[Concatenate[Context, A], A, R, R]: ...

    @overload
    def __call__(
        self, function: Callable[P, Coroutine[Any, Any, V]], /
    ) -> JobFunction[P, P, Coroutine[Any, Any, V], V]: ...

    @overload
    def __call__(self, function: Callable[P, R], /) -> JobFunction[P, P, R, R]: ...


class App:
    """A set of job kinds.

    Args:
        name: shown in messages.
    """

    def __init__(self, name: str = "app") -> None:
        self.name = name
        self.hooks = Hooks()
        """What runs around its jobs; those of apps that it includes keep their own."""
        self._functions: dict[str, JobFunction[..., ..., Any, Any]] = {}
        self._schedules: dict[str, _Declared] = {}

    @property
    def functions(self) -> Mapping[str, JobFunction[..., ..., Any, Any]]:
        """The decorated functions by kind."""
        return self._functions

    def job(
        self,
        kind: str,
        *,
        queue: str | None = None,
        priority: int | None = None,
        max_attempts: int | None = None,
        timeout: float | str | Literal["none"] | None = None,
        backoff: Backoff | float | str | Sequence[float | str] | None = None,
        retention: float | str | None = None,
        tags: Sequence[str] | None = None,
        isolation: Isolation | None = None,
    ) -> _Decorator:
        """Make a function a job kind. What is not given here is the server's to say.

        Args:
            kind: the name that jobs carry. It outlives the code, so it is not taken from the function's name.
            queue: where its jobs wait.
            priority: -100 to 100, larger first.
            max_attempts: runs in all.
            timeout: the longest one attempt may run: seconds, text such as "5m", or "none" for no limit.
            backoff: a `Backoff`; or one fixed delay; or a list of delays in turn, the last one repeating.
            retention: how long a finished job is kept.
            tags: words to find its jobs by.
            isolation: "async" on the event loop (only `async def`, and their default), "thread" (only `def`,
                and their default), or "process", a worker process that can be killed.

        Raises:
            AppError: the kind is taken or not well formed, or an option does not fit.
        """
        if not isinstance(kind, str) or not re.fullmatch(KIND_PATTERN, kind):
            raise AppError(
                '@app.job("kind"): expected a kind of 1 to 200 letters, digits or any of "_.:-", '
                f"got {shown(kind)}"
            )
        if kind.startswith(DEMO_PREFIX) and f"{self.name}." != DEMO_PREFIX:
            raise AppError(f"job '{kind}': kinds that begin with '{DEMO_PREFIX}' are the server's own")
        try:
            given = read_options(queue, priority, max_attempts, timeout, backoff, retention, tags)
        except ValueError as error:
            raise AppError(f"job '{kind}': {error}") from None

        def decorate(function: Callable[..., Any]) -> JobFunction[..., ..., Any, Any]:
            _check_function(kind, function, isolation)
            job: JobFunction[..., ..., Any, Any] = JobFunction(kind, function, isolation, given, self)
            self._add(job)
            return job

        return cast(_Decorator, decorate)  # what it returns is typed by what it is given

    @property
    def schedules(self) -> Mapping[str, NewScheduleObject]:
        """What `schedule` has declared, by name.

        Raises:
            AppError: the arguments of one do not fit its function.
        """
        return {name: declared.read(name) for name, declared in self._schedules.items()}

    def schedule(
        self,
        cron: str | None = None,
        *,
        every: float | str | None = None,
        tz: str | None = None,
        args: Mapping[str, Any] | None = None,
        name: str | None = None,
        catch_up: CatchUp | None = None,
        overlap: Overlap | None = None,
        expires_in: float | str | None = None,
        unique_key: str | None = None,
        unique_until: UniqueUntil | None = None,
        unique_for: float | str | None = None,
        on_conflict: OnConflict | None = None,
        concurrency_key: str | None = None,
    ) -> Callable[[J], J]:
        """Have a job run at given times, by a decorator above `job`. It is declared to the server at each
        start; what is declared no more is removed then, and its jobs stay. A worker on another machine
        declares nothing.

        Args:
            cron: minute, hour, day of month, month, day of week, such as "30 3 * * *"; or "@hourly",
                "@daily", "@weekly", "@monthly", "@yearly".
            every: instead of it an interval, 1 s to 366 days, counted from 1970.
            tz: whose clocks `cron` is about, such as "Europe/Berlin"; "UTC" if not given.
            args: named arguments for the function.
            name: of the schedule; the job's kind if not given.
            catch_up: of several times that passed while the server was away, "one" (if not given) brings a
                job for the newest, "none" only if that was within the last minute, "all" for each, up to 100.
            overlap: while the job before is not finished, "allow" another (if not given), "skip" the fire, or
                "cancel_old", the job before.
            expires_in: a job that still waits so long after it came has expired.
            unique_key: each of its jobs takes it; while another job holds it no job comes, and the time
                counts as skipped, reason `not_unique`.
            unique_until: "finished" (if not given), "started" or "window", as for any unique job.
            unique_for: the key is held at most so long; a window needs one.
            on_conflict: "replace": a job that holds the key and still waits makes way.
            concurrency_key: as for any job.

        Raises:
            AppError: the name is taken, the expression is wrong or never fires, an argument does not fit.
        """

        def declare(job: J) -> J:
            if not isinstance(job, JobFunction):
                raise AppError(f"@app.schedule: expected a job function below it, got {shown(job)}")
            own = job.kind if name is None else name
            try:
                check_schedule(own, "name")
                check_timing(cron, every, tz)
                caught = check_choice(catch_up or "one", "catch_up", CATCH_UP)
                overlapping = check_choice(overlap or "allow", "overlap", OVERLAP)
            except (ValueError, WireError) as error:
                raise AppError(f"schedule '{own}': {_said(error)}") from None
            wanted = partial(
                NewScheduleObject,
                name=own,
                cron=cron,
                every=every,
                tz=tz,
                catch_up=caught,
                overlap=overlapping,
            )
            options = {
                "expires_in": expires_in, "unique_key": unique_key, "unique_until": unique_until,
                "unique_for": unique_for, "on_conflict": on_conflict, "concurrency_key": concurrency_key,
            }  # fmt: skip
            self._add_schedule(own, _Declared(job, dict(args or {}), options, wanted))
            return job

        return declare

    def around_job(self, hook: Around) -> Around:
        """Have every attempt of this app's jobs wrapped: `hook(context)` makes a context manager, entered
        before the handler and left after it. To be used as a decorator, or called. The first hook is the
        outermost.

        It runs where the handler runs, on the event loop too, so it must not block. What it raises counts as
        raised by the handler; what it swallows is raised again.

        Raises:
            AppError: it is no function that makes a context manager.
        """
        self.hooks = self.hooks._replace(around=(*self.hooks.around, _plain_hook("around_job", hook)))
        return hook

    def on_failure(self, hook: OnFailure) -> OnFailure:
        """Have `hook(context, failure)` called after every failed attempt of this app's jobs, the last one
        and those before it. To be used as a decorator, or called.

        It runs in a thread of the server, has ten seconds, and changes nothing; the outcome is recorded
        afterwards. The job may be run again, see `context.attempt` and `context.max_attempts`. That a job is
        dead is an event of the server's, `job_died`.

        Raises:
            AppError: it is no plain function.
        """
        self.hooks = self.hooks._replace(on_failure=(*self.hooks.on_failure, _plain_hook("on_failure", hook)))
        return hook

    def include(self, other: App) -> None:
        """Serve another app's jobs too.

        Raises:
            AppError: both have a job of the same kind.
        """
        for job in other.functions.values():
            self._add(job)
        for name, declared in other._schedules.items():
            self._add_schedule(name, declared)

    def handlers(self) -> dict[str, Handler]:
        """Every kind with its handler, ready to run.

        Raises:
            AppError: a parameter of a function cannot be filled from JSON.
        """
        return {kind: job.handler for kind, job in self._functions.items()}

    def _add_schedule(self, name: str, declared: _Declared) -> None:
        if self._schedules.setdefault(name, declared) is not declared:
            raise AppError(f"schedule '{name}' is declared twice; give one of them a name of its own")

    def _add(self, job: JobFunction[..., ..., Any, Any]) -> None:
        known = self._functions.setdefault(job.kind, job)
        if known is not job:
            raise AppError(
                f"job '{job.kind}' is defined twice: by {_name(known.function)} and by {_name(job.function)}"
            )


def merge(*apps: App) -> App:
    """One app with the jobs of all. Raises AppError where two have a job of the same kind."""
    whole = App("+".join(app.name for app in apps))
    for app in apps:
        whole.include(app)
    return whole


H = TypeVar("H", Around, OnFailure)


def _plain_hook(name: str, hook: H) -> H:
    if not callable(hook):
        raise AppError(f"{name}: expected a function, got {shown(hook)}")
    if inspect.iscoroutinefunction(hook) or inspect.isasyncgenfunction(hook):
        raise AppError(
            f"{name}: expected a plain function, got an async one: it serves threads and processes too"
        )
    if inspect.isgeneratorfunction(hook):
        raise AppError(f"{name}: {_name(hook)} is a generator; put @contextlib.contextmanager above it")
    return hook


def _check_function(kind: str, function: object, isolation: object) -> None:
    if isinstance(function, JobFunction):
        raise AppError(
            f"job '{kind}': the function is the job '{function.kind}' already; decorate a plain one"
        )
    if not inspect.isfunction(function):
        raise AppError(f"job '{kind}': expected a function, got {shown(function)}")
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise AppError(f"job '{kind}': {_name(function)} is a generator; a job returns one value")
    if isolation is not None and isolation not in ISOLATIONS:
        raise AppError(
            f"job '{kind}': isolation: expected one of {', '.join(ISOLATIONS)}, got {shown(isolation)}"
        )
    if isolation == "async" and not inspect.iscoroutinefunction(function):
        raise AppError(
            f"job '{kind}': isolation 'async' needs `async def`; a plain function would stop the whole server"
        )
    if isolation == "thread" and inspect.iscoroutinefunction(function):
        raise AppError(
            f"job '{kind}': an `async def` runs on the event loop or in a process, not in a thread"
        )


def _name(function: Callable[..., Any]) -> str:
    return f"{function.__module__}.{function.__qualname__}"
