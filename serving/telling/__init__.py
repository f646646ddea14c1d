"""What is answered: a decision as JSON, its reasons as sentences."""
