"""The testing kit: a queue inside a test, and a real server beside one. How to use it:
docs/testing-your-jobs.md."""

from beaver_actors.testing.kit.clients import NotFinished
from beaver_actors.testing.kit.crashes import Crash
from beaver_actors.testing.kit.kit import Kit, Ran
from beaver_actors.testing.kit.real_server import RealServer

__all__ = ["Crash", "Kit", "NotFinished", "Ran", "RealServer"]
