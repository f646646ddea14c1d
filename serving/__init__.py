"""One lead comes in, one decision goes out."""
