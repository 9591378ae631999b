"""Files that hold rows' values are for the user who runs syncs, and for nobody else on the machine."""

import os
from pathlib import Path


def make_private_folder(folder: Path) -> None:
    """Make the folder, and those above it that are missing, for the user alone whatever the umask. What is there
    already keeps its permissions: somebody may share it on purpose. Raises OSError."""
    missing = [each for each in (folder, *folder.parents) if not each.exists()]
    for each in reversed(missing):
        try:
            each.mkdir(0o700)
        except FileExistsError:  # another process was quicker
            continue
        each.chmod(0o700)


def make_private_file(path: Path) -> None:
    """Make an empty file for the user alone, if none is there. Raises OSError."""
    with_nobody_else = os.O_CREAT | os.O_EXCL | os.O_WRONLY
    try:
        os.close(os.open(path, with_nobody_else, 0o600))
    except FileExistsError:
        return
