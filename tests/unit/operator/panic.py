"""What a library in Rust raises when it gives up."""


class PanicException(BaseException):
    """As that of pyo3, which no `except Exception` meets."""
