"""Jobs, each a short story of calls, and the command line."""

from pipelines import quiet  # noqa: F401 - before any library loads: it reads these settings only once
