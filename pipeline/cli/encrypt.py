"""`nightdesk encrypt`: a database that lies open becomes an encrypted one."""

from __future__ import annotations

from pipeline.cli import options, screen
from pipeline.errors import StoreError, UserError


def encrypt(db: options.Db = None, key_from: options.KeyFrom = None) -> None:
    """Encrypt a database with SQLCipher. From then on all commands need --key-from.

    The plain file is overwritten; copies, exports and backups of it are yours to delete. Without the key nobody can
    read the database any more: keep a copy of the key somewhere else. A new database needs none of this: name
    --key-from with its first run.

    \b
    Examples:
      nightdesk encrypt --db night.db --key-from ~/night.key
      nightdesk encrypt --db night.db --key-from keyring
    """
    from pipeline.cli.keys import key
    from pipeline.store.encrypt import encrypt as make

    database = options.database(db)
    if not database.is_file():
        raise StoreError(f"There is no database at {database}.", hint="`nightdesk run` makes one.")
    secret = key(key_from, database, new=True)
    if secret is None:
        raise UserError("Nothing says where the key is.", hint="Name --key-from FILE, keyring or prompt.")
    make(database, secret)
    screen.out(f"{screen.safe(str(database))} is encrypted. Keep a copy of its key: without it nobody can read it.")
