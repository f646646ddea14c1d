"""One lead's way to its rep, and what goes by the same rules: batches, the pool, follow-up, replays."""
