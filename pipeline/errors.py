"""Every error that Nightdesk raises on purpose.

    NightdeskError              exit code, hint
    |- UserError                2   a command or file of the user's is wrong
    |  |- TaskError                 prompts/<task>.toml
    |  |- SchemaError               schemas/<task>.py or .json
    |  `- JobError                  a job file, an input path
    |- ModelError               4   the model cannot be loaded, does not fit or cannot be decoded
    |  |- ModelFileError            not GGUF, truncated, a vocabulary only
    |  |- ModelDoesNotFit           the prefix, the slots or the memory
    |  `- EngineError               llama.cpp returned an error
    |- StoreError               5   the database cannot be used
    |  |- StoreLocked               another run holds it
    |  |- StoreNewer                written by a newer Nightdesk
    |  `- StoreFull                 no room on the disk
    |- Stopped                  75  the end of the night came first; work is left
    |- Interrupted              130 Ctrl-C
    |- NetworkRefused           1   code in one of our processes tried to use the network
    |- ChildError               1   a child process did not answer; who owns the child says whose failure that is
    |  |- ChildDied                 it crashed, was killed or ran out of memory
    |  |- ChildHung                 it gave no sign of life in the time it had
    |  `- ChildFailed               it raised an error that has no name here: our bug
    `- ItemError                3   one document or answer; becomes a row in `failures`, the run goes on
       |- ReadError                 the file cannot be read
       |- PromptTooLong             the prompt does not fit the context
       |- Poison                         the engine dies whenever it works on this
       `- AnswerError               the answer is not valid

Only `pipeline.cli` prints them and maps them to exit codes.
Messages name files, keys and numbers, never the text of a document.
"""

from __future__ import annotations


class NightdeskError(Exception):
    """Something went wrong that Nightdesk can name. `hint` is the next step for the person."""

    exit_code = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __reduce__(self) -> tuple[object, ...]:
        """Errors cross process boundaries with their hint."""
        return (_rebuild, (type(self), self.message, self.hint, self.__dict__))


def _rebuild(cls: type[NightdeskError], message: str, hint: str, state: dict[str, object]) -> NightdeskError:
    error = cls.__new__(cls)
    NightdeskError.__init__(error, message, hint=hint)
    error.__dict__.update(state)
    return error


class UserError(NightdeskError):
    """A command or a file of the user's is wrong."""

    exit_code = 2


class TaskError(UserError):
    """The prompt file is wrong; the message names the file and the key."""


class SchemaError(UserError):
    """The schema is wrong or uses what Nightdesk cannot hold; the message names the keyword."""


class JobError(UserError):
    """The job file or an input is wrong."""


class ModelError(NightdeskError):
    """The model cannot be loaded, does not fit or cannot be decoded."""

    exit_code = 4


class ModelFileError(ModelError):
    """The model file is not what llama.cpp can load."""


class ModelDoesNotFit(ModelError):  # noqa: N818 - reads as a sentence
    """The task, the slots or the weights do not fit the context or the memory."""


class EngineError(ModelError):
    """llama.cpp returned an error that cannot be pinned on one document."""


class StoreError(NightdeskError):
    """The database cannot be used."""

    exit_code = 5


class StoreLocked(StoreError):  # noqa: N818
    """Another run writes to this database."""


class StoreNewer(StoreError):  # noqa: N818
    """The database was written by a newer version."""


class StoreFull(StoreError):  # noqa: N818
    """There is no room left on the disk."""


class Stopped(NightdeskError):  # noqa: N818
    """The run ended in order before the work did."""

    exit_code = 75


class Interrupted(NightdeskError):  # noqa: N818
    """The person pressed Ctrl-C."""

    exit_code = 130


class NetworkRefused(NightdeskError):  # noqa: N818
    """Code in one of our processes tried to use the network. The message names the module and the line."""


class ChildError(NightdeskError):
    """A child process did not answer. `code` is a stable word: crashed, killed, memory, hung, garbage, bug."""

    def __init__(self, message: str, *, code: str, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.code = code


class ChildDied(ChildError):  # noqa: N818
    """The child process ended before it answered. `exitcode` is negative for a signal."""

    exitcode: int | None = None


class ChildHung(ChildError):  # noqa: N818
    """The child process gave no sign of life in the time it had, and was ended."""


class ChildFailed(ChildError):  # noqa: N818
    """The child process raised an error that Nightdesk has no name for; the message says where, never what."""


class ItemError(NightdeskError):
    """One document or one answer is bad. `stage` says where: read, prompt, decode, answer."""

    exit_code = 3
    stage = "run"


class ReadError(ItemError):
    """The file cannot be read. `code` is a stable word for queries, e.g. "encrypted"."""

    stage = "read"

    def __init__(self, message: str, *, code: str, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.code = code


class PromptTooLong(ItemError):  # noqa: N818
    """Prefix, chunk and output budget together do not fit one sequence."""

    stage = "prompt"


class Poison(ItemError):  # noqa: N818
    """The engine dies whenever it works on this."""

    stage = "decode"


class AnswerError(ItemError):
    """The answer does not validate against the schema."""

    stage = "answer"
