"""Jobs, each a short story of calls, and the command line."""
