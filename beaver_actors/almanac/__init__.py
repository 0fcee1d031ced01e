"""When schedules are due: cron expressions, intervals and time zones. It reads the time zone database, which
is why it is not part of `core`, and it looks at no clock."""
