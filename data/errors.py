"""Errors that a caller would act on differently; everything else is a plain ValueError."""


class InputError(ValueError):
    """What the user gave cannot be used; the message is one line that says what to do (exit status 2)."""


class RegistryError(Exception):
    """The model registry is down, slow, or does not have what was asked for; the message says which."""


class RefusedError(Exception):
    """A check said no (exit status 1): for example, a challenger that did not earn its promotion."""


class BusyError(Exception):
    """The ledger could not be reached or locked in time: try again after `retry_after_s` seconds."""

    def __init__(self, message: str, *, retry_after_s: int = 1) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class ConflictError(Exception):
    """Somebody else changed the same thing first: read it again."""
