"""One event per call, written once and read by everybody: recording, the tasks' logs, and typed reading.

Above: gateway, tools, economics, agents. Below: config, core; the database comes in as a `core.store.Store`.
"""

from .batches import BatchLog, NotThere
from .beside import Beside
from .cache import StoredCache
from .health import Health, RecorderLimits
from .kept import KeptResponses
from .owner import alive, this_owner
from .read import Reader, TaskSummary, Trace, to_json
from .record import Recorder
from .tasks import TaskLog

__all__ = [
    "BatchLog",
    "Beside",
    "Health",
    "KeptResponses",
    "NotThere",
    "Reader",
    "Recorder",
    "RecorderLimits",
    "StoredCache",
    "TaskLog",
    "TaskSummary",
    "Trace",
    "alive",
    "this_owner",
    "to_json",
]
