"""Where work runs: in this process, in a pool of processes, or on a Ray cluster; the same results everywhere."""

from audit.engines.choice import Choice, in_order, map_tasks, opened
from audit.engines.jobs import Engine, Job, Place

__all__ = ["Choice", "Engine", "Job", "Place", "in_order", "map_tasks", "opened"]
