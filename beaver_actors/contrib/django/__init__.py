"""Django's tasks on beaver_actors: `TASKS = {"default": {"BACKEND":
"beaver_actors.contrib.django.BeaverBackend"}}`.

For Django 6 and later, and for earlier ones with the package django-tasks, which has the same interface. How
to set it
up: docs/django.md.
"""

from beaver_actors.contrib.django.backend import BeaverBackend
from beaver_actors.contrib.django.results import JobEnded

__all__ = ["BeaverBackend", "JobEnded"]
