"""Questions about the past, answered outside of this process: one at a time, few waiting, none for ever.

Nothing here reads a file. What is given to it does, in a process of its own, so that no other client waits.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import msgspec
import trio

from beaver_actors.codec.wire_past import PastReply, Wish, past_refused, read_past_reply
from beaver_actors.kernel.child import ChildFailed
from beaver_actors.kernel.mailbox import Closed, Reply

WAITING_MAX = 8
"""Questions that may wait, the one that is looked at included; each may take seconds."""
LOOK_SECONDS = 60.0
"""The longest one look may take: who asks has long lost patience, and others wait."""

Look = Callable[[Wish], Awaitable[bytes]]


class Past:
    """One per life of the node.

    Args:
        look: answers with a `PastReply` as JSON.
    """

    def __init__(self, look: Look) -> None:
        self._look = look
        self._one = trio.CapacityLimiter(1)
        self._waiting = 0
        self._tasks: trio.Nursery | None = None

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Serve until cancelled."""
        async with trio.open_nursery() as nursery:
            self._tasks = nursery
            task_status.started()
            await trio.sleep_forever()

    def stop(self) -> None:
        """Answer nothing more: whoever waits learns that the node is going down."""
        if self._tasks is not None:
            self._tasks.cancel_scope.cancel()

    def ask(self, wish: Wish) -> Reply[PastReply]:
        """Ask; never waits. The answer comes in time, or is a refusal."""
        reply: Reply[PastReply] = Reply()
        if self._tasks is None:
            reply.give(past_refused("unsupported", "this server cannot look into the past"))
        elif self._waiting >= WAITING_MAX:
            reply.give(past_refused("overloaded", f"{WAITING_MAX} questions about the past wait already"))
        else:
            self._waiting += 1
            self._tasks.start_soon(self._answer, wish, reply)
        return reply

    async def _answer(self, wish: Wish, reply: Reply[PastReply]) -> None:
        try:
            async with self._one:
                with trio.move_on_after(LOOK_SECONDS) as scope:
                    answer = read_past_reply(await self._look(wish))
            if scope.cancelled_caught:
                answer = past_refused("overloaded", f"it takes longer than {LOOK_SECONDS:g} s to look there")
            reply.give(answer)
        except (ChildFailed, OSError, msgspec.DecodeError) as error:
            reply.give(past_refused("overloaded", f"the past could not be read: {error}"))
        finally:
            self._waiting -= 1
            reply.fail(Closed())
