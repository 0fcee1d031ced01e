"""The jobs of this example: one kind that computes the SHA-256 of a file, in plain Python."""

from __future__ import annotations

import hashlib
from pathlib import Path

from beaver_actors import App, Reject

app = App("checksums")


@app.job("checksums.sha256", queue="checksums", timeout="10m", max_attempts=3, isolation="thread")
def sha256(path: str) -> str:
    """Compute the SHA-256 of a file, as 64 hexadecimal digits."""
    try:
        with Path(path).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except (FileNotFoundError, PermissionError, IsADirectoryError) as error:
        # Trying again would find the same; other errors of the disk may pass.
        raise Reject(f"{path}: {error.strerror}") from error
