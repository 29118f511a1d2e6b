"""What can go wrong, by what you can do about it.

Every exception has an ``exit_code``: the one with which the program ``gridlight`` ends in the same case.
"""


class Error(Exception):
    """Anything that Gridlight refuses or fails at."""

    exit_code: int = 1


class InputError(Error, ValueError):
    """What was asked for, or the data, cannot be: the message says where, what was found and what is allowed."""

    exit_code = 2


class DivergedError(Error, ArithmeticError):
    """Training diverged: a loss or a weight is no longer finite. What was saved before is kept."""

    exit_code = 3


class DeviceError(Error, RuntimeError):
    """The device failed or was lost."""

    exit_code = 4


class FileError(Error, OSError):
    """A file could not be read or written."""

    exit_code = 5


class Interrupted(KeyboardInterrupt):
    """Ctrl-C, after a checkpoint was saved: train again with ``resume=True`` to go on.

    Like every ``KeyboardInterrupt``, it is no :class:`Error`, so that ``except Exception`` does not swallow it.
    """

    exit_code = 130

    def __init__(self, message: str = "interrupted") -> None:
        super().__init__(f"{message}; go on with resume=True")
