"""Where a run writes, and whether a program that synchronises folders copies that to other machines."""

from __future__ import annotations

from pathlib import Path

from pipeline.config import Job
from pipeline.store import files_of

_MARKERS = {
    ".dropbox": "Dropbox",
    ".dropbox.cache": "Dropbox",
    ".stfolder": "Syncthing",
    ".owncloudsync.log": "ownCloud",
    ".nextcloudsync.log": "Nextcloud",
    ".849C9593-D756-4E56-8D6E-42412F2A707B": "OneDrive",
    ".tmp.drivedownload": "Google Drive",
    ".seafile-data": "Seafile",
}
"""Files and folders that a service leaves in the folder it synchronises."""
_PATTERNS = {"._sync_*.db": "Nextcloud", ".sync_*.db": "Nextcloud"}
_NAMES = {
    "dropbox": "Dropbox",
    "onedrive": "OneDrive",
    "nextcloud": "Nextcloud",
    "owncloud": "ownCloud",
    "google drive": "Google Drive",
    "googledrive": "Google Drive",
    "mobile documents": "iCloud",
    "icloud drive": "iCloud",
    "icloud": "iCloud",
}
"""How these folders are called; `OneDrive - Company`, `Dropbox (Personal)` and `OneDrive-Personal` too."""


def written(job: Job) -> tuple[Path, ...]:
    """The files that a run of the job writes: the database, what may lie beside it, the summaries."""
    return (job.database, *files_of(job.database.resolve()), *job.summary)  # a link is not a second database


def synchronised(file: Path) -> str | None:
    """The service that synchronises the folder of this file, as far as its marks show."""
    for folder in file.absolute().resolve().parents:
        for marker, service in _MARKERS.items():
            if (folder / marker).exists():
                return service
        for pattern, service in _PATTERNS.items():
            if next(folder.glob(pattern), None) is not None:
                return service
        name = folder.name.casefold()
        for known, service in _NAMES.items():
            if name == known or name.startswith((f"{known} -", f"{known} (", f"{known}-")):
                return service
    return None
