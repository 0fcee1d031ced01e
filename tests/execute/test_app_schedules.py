"""`@app.schedule`: what it declares, and what it refuses while the code is loaded."""

from __future__ import annotations

from typing import Any

import pytest

from beaver_actors.config import Config
from beaver_actors.config.settings import Limits
from beaver_actors.core.commands import SetSchedule
from beaver_actors.core.job import Terms, Unique
from beaver_actors.core.schedule import Plan
from beaver_actors.execute.app import App, AppError
from beaver_actors.node.settings import declared


def app_with(*cron: str, **options: Any) -> App:
    app = App("shop")

    @app.schedule(*cron, **options)
    @app.job("report", queue="reports", max_attempts=2)
    def report(year: int = 2026) -> int:
        return year

    assert report(1) == 1  # it is the job function still
    return app


def test_a_schedule_is_declared_with_the_terms_of_its_job() -> None:
    """P3: by what the server is told at its start."""
    app = app_with("30 3 * * *", tz="Europe/Berlin", args={"year": 7}, overlap="skip")
    terms = Terms("report", "reports", max_attempts=2)
    plan = Plan(terms, b'{"year":7}', "30 3 * * *", None, "Europe/Berlin", "one", "skip")
    assert declared(Config(), app, 5).schedules == (SetSchedule("report", plan, 5, None, "code"),)


def test_what_its_jobs_ask_for_is_declared_with_it() -> None:
    """P3: a lifetime and keys, as for jobs that are enqueued."""
    app = app_with(
        every=60, expires_in="1h", unique_key="report", unique_until="started", unique_for="5m",
        on_conflict="replace", concurrency_key="reports",
    )  # fmt: skip
    (wanted,) = declared(Config(), app, 5).schedules
    unique = Unique("report", "started", 300_000)
    assert wanted.plan[7:] == (3_600_000, unique, "replace", "reports")
    with pytest.raises(AppError, match=r"report\.unique_for: expected how long the window is"):
        declared(Config(), app_with(every=60, unique_key="report", unique_until="window"), 5)


def test_schedules_of_included_apps_and_of_the_configuration_are_declared_too() -> None:
    """P3: all in one, each name once."""
    whole = App("whole")
    whole.include(app_with(every="5m"))
    config = Config(schedules={"poll": {"every": 60, "kind": "feed.poll"}})
    wanted = declared(config, whole, 5).schedules
    assert [(one.schedule, one.source) for one in wanted] == [("report", "code"), ("poll", "config")]
    with pytest.raises(AppError, match="report: stands in the app's code and in the configuration"):
        declared(Config(schedules={"report": {"every": 60, "kind": "x"}}), whole, 5)
    with pytest.raises(AppError, match=r"1 are declared; limits\.schedules is 0"):
        declared(Config(limits=Limits(schedules=0)), whole, 5)


def test_one_job_can_have_several_schedules_under_names_of_their_own() -> None:
    app = App("shop")

    @app.schedule("@daily", name="daily")
    @app.schedule("@hourly", name="hourly")
    @app.job("report")
    def report() -> None: ...

    assert set(app.schedules) == {"daily", "hourly"}
    with pytest.raises(AppError, match="schedule 'daily' is declared twice"):
        app.schedule("@weekly", name="daily")(report)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"cron": "61 * * * *"}, "schedule 'report': cron: minute: expected 0 to 59"),
        ({"cron": "0 0 31 2 *"}, "which never fires"),
        ({}, "schedule 'report': cron: expected cron or every, got neither"),
        ({"cron": "@daily", "tz": "Mars"}, "schedule 'report': tz: expected a time zone"),
        ({"every": "1ms"}, "schedule 'report': every: expected 1 s to 366 d"),
        ({"every": 5, "name": "a b"}, "schedule 'a b': name: expected 1 to 100"),
        ({"every": 5, "overlap": "no"}, "schedule 'report': overlap: expected allow, skip or cancel_old"),
    ],
)
def test_a_wrong_schedule_is_refused_where_it_stands(options: dict[str, Any], message: str) -> None:
    """By example: when the code is loaded, with the schedule and the field."""
    with pytest.raises(AppError) as caught:
        app_with(**options)
    assert message in str(caught.value)


def test_arguments_that_do_not_fit_are_told_at_the_start() -> None:
    """By example: annotations are read when they are needed, as those of jobs are."""
    for args in ({"month": 1}, {"year": "x"}):
        with pytest.raises(AppError, match="schedule 'report': args"):
            declared(Config(), app_with(every=5, args=args), 5)


def test_a_schedule_needs_a_job_below_it() -> None:
    with pytest.raises(AppError, match="expected a job function below it"):
        App().schedule("@daily")(print)  # type: ignore[type-var]
