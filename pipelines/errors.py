"""What the command line makes of an exception: an exit status and a line for a person."""

from components.common.splits import SplitError
from tfds_builders.catalog import OptionError, UnknownNameError


class UsageError(ValueError):
    """What the user asked for cannot be; the message says what can."""


def exit_status(error: Exception) -> int:
    """2 for what the user can say otherwise, 1 for a step or a server that failed."""
    usage = UsageError | UnknownNameError | OptionError | FileNotFoundError
    if isinstance(error, usage):
        return 2
    cause = error.__cause__
    while cause:  # What only the data can refuse is refused by a step, maybe in a fold.
        if isinstance(cause, OptionError | SplitError):
            return 2
        cause = cause.__cause__
    return 1


def explain(error: BaseException) -> str:
    """The message alone for errors made for people; the type too for those that are not."""
    text = " ".join(str(error).split())
    meant = isinstance(error, ValueError | OSError | RuntimeError)
    return text if meant and text else f"{type(error).__name__}: {text} (--verbose tells more)"
