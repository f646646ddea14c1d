"""What stands before and around a request: limits, keys, types, errors."""
