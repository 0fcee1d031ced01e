"""A Django site with nothing but tasks, which a beaver_actors server runs: docs/django.md."""

import os

SECRET_KEY = "only an example"
USE_TZ = True
TIME_ZONE = "UTC"
TASKS = {
    "default": {
        "BACKEND": "beaver_actors.contrib.django.BeaverBackend",
        "QUEUES": ["default", "mail"],
        "OPTIONS": {"url": os.environ.get("BEAVER_URL", "ws://127.0.0.1:7440"), "retention": "7d"},
    }
}
