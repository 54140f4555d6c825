"""What is logged, kept for a test, whatever other tests did to the loggers."""

import logging


class _Kept(logging.Handler):
    def __init__(self, lines):
        super().__init__()
        self._lines = lines

    def emit(self, record):
        self._lines.append(self.format(record))


def keep(monkeypatch, *loggers):
    """The list that lines of these loggers are put in, and nowhere else, until the test ends."""
    lines = []
    for name in loggers:
        logger = logging.getLogger(name)
        for attribute, value in {"handlers": [_Kept(lines)], "propagate": False, "disabled": False}.items():
            monkeypatch.setattr(logger, attribute, value)
        logger.setLevel(logging.INFO)
    return lines
