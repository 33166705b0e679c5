"""Where a database lies: is its folder copied to other machines by a program that synchronises folders?"""

from __future__ import annotations

from pathlib import Path

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
