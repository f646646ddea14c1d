"""What a worker consists of, and how it tells of itself: parts, upkeep, logs, metrics."""
