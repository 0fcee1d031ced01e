"""Trio idioms without a domain: mailboxes, signals, the clock, blocking work. Knows nothing about jobs."""
