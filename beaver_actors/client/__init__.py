"""The client: `async with connect() as client: job = await client.enqueue("demo.echo", {"x": 1})`.

For Trio. The same names on asyncio: `beaver_actors.client.aio`; without an event loop:
`beaver_actors.client.sync`.
"""

from beaver_actors.client.address import DEFAULT_URL
from beaver_actors.client.async_client import Client, Job
from beaver_actors.client.errors import (
    BadRequest,
    ClientError,
    Conflict,
    ConnectFailed,
    ConnectionLost,
    Draining,
    Forbidden,
    JobCancelled,
    JobFailed,
    JobGone,
    JobNotCompleted,
    NotFound,
    NotLeader,
    NotUnique,
    Overloaded,
    ProtocolError,
    QueueFull,
    Refused,
    StorageFull,
    TooLarge,
    Unauthorized,
    UnexpectedResult,
    Unsupported,
)
from beaver_actors.client.graphs import Graph, chain, group, when_all
from beaver_actors.client.middleware import OnEnqueue, add_meta, meta_of
from beaver_actors.client.new_jobs import NewJob, new_job
from beaver_actors.client.streams import EventStream, JobList, JobWatch, StatusStream
from beaver_actors.client.trio_connect import connect
from beaver_actors.client.views import (
    AttemptFailure,
    Change,
    Event,
    Explanation,
    FinishedJob,
    Gap,
    JobInfo,
    OperationInfo,
    Page,
    Reason,
    Status,
    WorkerInfo,
)
from beaver_actors.codec.wire_objects import Exponential, Fixed, Listed, Polynomial
from beaver_actors.core.job import JobState

__all__ = [
    "DEFAULT_URL",
    "AttemptFailure",
    "BadRequest",
    "Change",
    "Client",
    "ClientError",
    "Conflict",
    "ConnectFailed",
    "ConnectionLost",
    "Draining",
    "Event",
    "EventStream",
    "Explanation",
    "Exponential",
    "FinishedJob",
    "Fixed",
    "Forbidden",
    "Gap",
    "Graph",
    "Job",
    "JobCancelled",
    "JobFailed",
    "JobGone",
    "JobInfo",
    "JobList",
    "JobNotCompleted",
    "JobState",
    "JobWatch",
    "Listed",
    "NewJob",
    "NotFound",
    "NotLeader",
    "NotUnique",
    "OnEnqueue",
    "OperationInfo",
    "Overloaded",
    "Page",
    "Polynomial",
    "ProtocolError",
    "QueueFull",
    "Reason",
    "Refused",
    "Status",
    "StatusStream",
    "StorageFull",
    "TooLarge",
    "Unauthorized",
    "UnexpectedResult",
    "Unsupported",
    "WorkerInfo",
    "add_meta",
    "chain",
    "connect",
    "group",
    "meta_of",
    "new_job",
    "when_all",
]
