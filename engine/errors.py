"""Every error that a user may expect, each with one sentence and a hint.

::

    PalimpsestError
    ├── DocumentError              a file that cannot be read
    │   ├── DocumentNotFoundError
    │   ├── UnsupportedFormatError
    │   ├── CorruptDocumentError
    │   ├── PasswordNeededError
    │   └── NoTextError            no extractable text (a scan, an empty file)
    ├── ModelError                 a model that cannot be used
    │   ├── ModelNotFoundError
    │   ├── ModelLoadError
    │   ├── UnsupportedModeError   the model was not made for this reading mode
    │   ├── TemplateError          the model's chat template cannot render our prompts
    │   ├── ConversionError        a checkpoint that cannot be turned into a model file
    │   │   ├── CheckpointError         the folder is not what a checkpoint should be
    │   │   ├── UnsupportedCheckpointError  its architecture, tokenizer or weights are of no known kind
    │   │   ├── QuantisationError       llama.cpp did not quantise the file
    │   │   ├── ParityError             the written file does not compute what the checkpoint computes
    │   │   ├── NoSpaceError            the disk cannot hold the file
    │   │   └── TrainerMissingError     the packages for it are not installed
    │   └── ServerError            a server that cannot be used
    │       ├── ServerUnreachableError  nobody answers there
    │       ├── ForeignServerError      what answers is no OpenAI-compatible API
    │       ├── ServerAuthError         it refuses our key
    │       ├── ServedModelError        it has no such model, or several and none was chosen
    │       └── ServerStartError        our own server did not come up
    ├── GenerationError            the model failed while it was reading
    │   ├── ContextOverflowError
    │   ├── BackendDiedError
    │   ├── OutOfMemoryError
    │   ├── ServerTimeoutError     a server was silent for too long
    │   ├── ServerReplyError       a server's reply is not what its API promises
    │   └── PromptMismatchError    a server was given less, or other tokens, than what was sent
    ├── PlanError                  settings that cannot work together
    ├── WindowError                the window cannot be opened here
    └── StoreError                 the trace database
        ├── StoreVersionError      written by a newer version
        ├── StoreCorruptError
        ├── StoreBusyError
        ├── RunNotFoundError
        ├── RunOwnedError          another live process writes into this run
        └── ResumeRefusedError     document, model, prompt or plan changed

`engine.cancel.Cancelled` is no error and stands outside the tree. Foreign exceptions are mapped to these only in
the adapter that imports the library, with ``raise ... from exc``. Anything else is a bug and is not caught.
"""


class PalimpsestError(Exception):
    """An expected failure: one sentence for the user and a hint what to do.

    Args:
        message: one sentence, without trailing hint.
        hint: what the user can do about it; may be empty.
    """

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".strip()


class DocumentError(PalimpsestError):
    """A document cannot be read."""


class DocumentNotFoundError(DocumentError):
    """There is no such file, or it may not be read."""


class UnsupportedFormatError(DocumentError):
    """No reader knows this file format."""


class CorruptDocumentError(DocumentError):
    """The file is damaged or is not what its name says."""


class PasswordNeededError(DocumentError):
    """The document is encrypted and the password is missing or wrong."""


class NoTextError(DocumentError):
    """The document holds no extractable text."""


class ModelError(PalimpsestError):
    """A model cannot be used."""


class ModelNotFoundError(ModelError):
    """There is no such model file."""


class ModelLoadError(ModelError):
    """The model file cannot be loaded."""


class UnsupportedModeError(ModelError):
    """The model was not made for the reading mode asked for."""


class TemplateError(ModelError):
    """The model's chat template is missing or cannot render the prompts."""


class ConversionError(ModelError):
    """A checkpoint cannot be turned into a model file."""


class CheckpointError(ConversionError):
    """A folder is not what a checkpoint should be: a file is missing, damaged or contradicts another."""


class UnsupportedCheckpointError(ConversionError):
    """A checkpoint's architecture, tokenizer or weights are of a kind that the writer does not know."""


class QuantisationError(ConversionError):
    """llama.cpp did not quantise a model file."""


class ParityError(ConversionError):
    """A written model file does not compute what its checkpoint computes."""


class NoSpaceError(ConversionError):
    """The disk cannot hold a model file."""


class TrainerMissingError(ConversionError):
    """The packages that conversion and training need are not installed."""


class ServerError(ModelError):
    """A server cannot be used."""


class ServerUnreachableError(ServerError):
    """Nobody answers at the address."""


class ForeignServerError(ServerError):
    """What answers at the address is no OpenAI-compatible API."""


class ServerAuthError(ServerError):
    """The server refuses the API key, or wants one."""


class ServedModelError(ServerError):
    """The server does not have the model asked for, or has several and none was chosen."""


class ServerStartError(ServerError):
    """A server that we start ourselves did not come up."""


class GenerationError(PalimpsestError):
    """The model failed while it was reading."""


class ContextOverflowError(GenerationError):
    """A prompt and its reply do not fit the context window."""


class BackendDiedError(GenerationError):
    """The process or server that runs the model went away."""


class OutOfMemoryError(GenerationError):
    """Memory ran out where the model is computed."""


class ServerTimeoutError(GenerationError):
    """The server sent nothing for too long."""


class ServerReplyError(GenerationError):
    """The server's reply is not what its API promises."""


class PromptMismatchError(GenerationError):
    """The model was given less, or other tokens, than what was sent."""


class PlanError(PalimpsestError):
    """Settings that cannot work together."""


class WindowError(PalimpsestError):
    """The window cannot be opened here."""


class StoreError(PalimpsestError):
    """The trace database cannot be used."""


class StoreVersionError(StoreError):
    """The database was written by a newer version of the program."""


class StoreCorruptError(StoreError):
    """The database does not hold what its hashes say."""


class StoreBusyError(StoreError):
    """Another process kept the database locked for too long."""


class RunNotFoundError(StoreError):
    """No run has this id."""


class RunOwnedError(StoreError):
    """Another live process writes into this run."""


class ResumeRefusedError(StoreError):
    """Document, model, prompts or plan changed since the run was started."""
