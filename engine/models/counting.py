"""How many tokens a document has for a model, without loading its weights."""

from pathlib import Path

from engine.backends.gguf_file import check_header, fingerprint
from engine.cancel import CancelToken
from engine.documents.model import Document


class TokenCounter:
    """Counts by the tokenizer of a model file. Close it, or use it in `contextlib.closing`.

    Args:
        path: a GGUF file.

    Attributes:
        fingerprint: of the model; see `engine.backends.gguf_file.fingerprint`.

    Raises:
        engine.errors.ModelError: the file cannot be used.
    """

    def __init__(self, path: Path) -> None:
        # Imported here: the library behind it takes half a second.
        from engine.backends.native import NativeModel
        from engine.backends.tokenization import PromptTokenizer

        check_header(path)
        self.fingerprint = fingerprint(path)
        self._model = NativeModel(path, num_gpu_layers=0, vocab_only=True)
        self._tokenizer = PromptTokenizer(self._model)

    def count(self, document: Document, *, cancel: CancelToken | None = None) -> int:
        """Tokens of all pages.

        Raises:
            engine.cancel.Cancelled: after `cancel.cancel()`.
        """
        cancel = cancel or CancelToken()
        total = 0
        for page in document.pages:
            cancel.check()
            total += len(self._tokenizer.data(page.text))
        return total

    def close(self) -> None:
        """Free the tokenizer."""
        self._model.free()
