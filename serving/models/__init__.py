"""The model's way into force: signed files, verified, loaded and swapped."""
