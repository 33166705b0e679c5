"""Where the key of an encrypted database comes from: a file, the system keyring, or the person at the terminal.

Never from the command line or the environment, which other programs can see.
"""

from __future__ import annotations

import getpass
import warnings
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import SecretStr

from pipeline.cli import options, screen
from pipeline.errors import UserError

if TYPE_CHECKING:
    from pipeline.store import Store

SERVICE = "nightdesk"
"""What the keyring knows us as; its name for the user is the database's absolute path."""


def key(source: str | None, database: Path, *, new: bool = False) -> SecretStr | None:
    """The key of this database: from the file `source`, or `keyring`, or `prompt`; None where there is no source.

    A `new` key is asked for twice. Raises UserError where it cannot be had. Whether it is the right one shows when the
    database is opened.
    """
    if source is None:
        return None
    if source == "keyring":
        text = _from_keyring(options.absolute(database))
    elif source == "prompt":
        text = _asked(database, twice=new or not database.exists())
    else:
        text = _from_file(Path(source).expanduser())
    if not text or "\0" in text:
        raise UserError("The key of the database is empty or holds a zero byte.", hint="Give another one.")
    return SecretStr(text)


def opened(database: Path, key_from: str | None, *, write: bool = False) -> AbstractContextManager[Store]:
    """The database, opened with its key. Raises UserError, and as `Store.open`."""
    from pipeline.store import Store

    return Store.open(database, write=write, key=key(key_from, database))


def _from_file(file: Path) -> str:
    try:
        return file.read_text("utf-8-sig").removesuffix("\n").removesuffix("\r")
    except OSError as error:
        raise UserError(f"The key file {file} cannot be read: {error.strerror}.", hint="Check the path.") from error
    except UnicodeDecodeError:
        raise UserError(
            f"The key file {file} is not UTF-8 text.", hint="One way to make a key: openssl rand -base64 32 > FILE"
        ) from None  # the error holds the bytes


def _from_keyring(name: str) -> str:
    try:
        import keyring
        from keyring.errors import KeyringError
    except ImportError as error:
        raise UserError(
            "The system keyring needs a package that is not installed.",
            hint="Install it: pip install 'nightdesk[encrypted]'",
        ) from error
    try:
        found = keyring.get_password(SERVICE, name)
    except KeyringError as error:
        raise UserError(
            f"The system keyring cannot be used ({type(error).__name__}).",
            hint="Unlock it, or keep the key in a file: --key-from FILE.",
        ) from error
    if found is None:
        raise UserError(
            f"The system keyring holds no key for {name}.", hint=f"Put one there: keyring set {SERVICE} '{name}'"
        )
    return found


def _asked(database: Path, *, twice: bool) -> str:
    """What the person types; twice for a new key, since what is mistyped then is lost."""
    said = screen.safe(str(database))
    try:
        with warnings.catch_warnings(action="error", category=getpass.GetPassWarning):
            given = getpass.getpass(f"Key of {said}: ")
            if twice and getpass.getpass("The same once more: ") != given:
                raise UserError("The two keys differ; nothing was made.", hint="Run the same command again.")
    except UnicodeDecodeError:
        raise UserError("What was typed is not text.", hint="Type the key once more.") from None  # it holds the bytes
    except (getpass.GetPassWarning, EOFError, OSError) as error:
        raise UserError(
            "There is nobody at a terminal to give the key.", hint="Use --key-from FILE or --key-from keyring."
        ) from error
    return given
