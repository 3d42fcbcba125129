"""What can go wrong. Every error of Chiasm is a `chiasm.Error`."""


class Error(Exception):
    """Base of all errors of Chiasm. The message says where, what, and what to do."""


class ModelError(Error):
    """The model is missing, damaged, of an unsupported family or cannot be fetched."""


class MediaError(Error):
    """A picture or sound is missing, damaged, of an unknown format or over a limit."""


class RequestError(Error):
    """A request cannot be served as asked: a setting out of range, a prompt too long, ..."""


class DeviceError(Error):
    """A device, backend or instruction set is absent."""


class Interrupted(Error):
    """The call was cancelled from another thread. Ctrl-C raises KeyboardInterrupt instead."""
