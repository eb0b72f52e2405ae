"""One event per call, written once and read by everybody: recording, the tasks' logs, and typed reading.

Above: gateway, tools, economics, agents. Below: config, core; the database comes in as a `core.store.Store`.
"""

from .cache import StoredCache
from .health import Health, RecorderLimits
from .owner import alive, this_owner
from .record import Recorder
from .tasks import TaskLog

__all__ = ["Health", "Recorder", "RecorderLimits", "StoredCache", "TaskLog", "alive", "this_owner"]
