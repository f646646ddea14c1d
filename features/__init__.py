"""What was known as of a moment, and which outcomes are old enough to be labels."""
