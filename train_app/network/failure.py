"""Learning that failed, as one message; the whole of what was raised goes into a file."""

from __future__ import annotations

import traceback
from pathlib import Path

from nbmf.errors import NbmfError

FILE = "failure.txt"


class TrainingFailed(NbmfError):
    """Learning ended with an error."""

    code = "training_failed"


def failed(what: str, folder: Path, error: Exception) -> TrainingFailed:
    """The error to raise; the traceback is then in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / FILE).write_text("".join(traceback.format_exception(error)))
    return TrainingFailed(f"{what} failed: {last_line(error)} (all of it: {folder / FILE})")


def last_line(error: BaseException) -> str:
    """What went wrong: errors of workers have the whole traceback before it."""
    text = str(error).strip()
    if "\n" not in text:
        return f"{type(error).__name__}: {text}" if text else type(error).__name__
    return text.splitlines()[-1]
