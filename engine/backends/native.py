"""The edge to llama.cpp's C interface: the library, its log, a loaded model and its vocabulary.

llama-cpp-python has no type stubs; `Any` stands for its modules and pointers here, in `native_context` and in
`native_sampler`, nowhere else. The low-level interface is used since its high-level class decodes one sequence only.
"""

import collections
import contextlib
import ctypes
import functools
import logging
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from engine.errors import ModelLoadError

logger = logging.getLogger(__name__)

_ATTR_CONTROL = 1 << 3
_ATTR_USER_DEFINED = 1 << 4
_MARKUP = re.compile(r"<.+>|\[.+\]", re.DOTALL)
_LOG_ERROR = 4  # of enum ggml_log_level; llama-cpp-python has the numbers of an older one
_errors: collections.deque[str] = collections.deque(maxlen=20)
_callbacks: list[Any] = []  # a callback that is collected while llama.cpp holds it is a crash


@functools.cache
def library() -> Any:
    """The module of C functions; the first call loads the shared library and takes over its log.

    Raises:
        ModelLoadError: llama-cpp-python is missing or its library does not load.
    """
    try:
        import llama_cpp
    except (ImportError, OSError, RuntimeError) as exc:
        raise ModelLoadError(
            "llama.cpp cannot be loaded.", hint="Install it with: pip install llama-cpp-python"
        ) from exc
    callback = llama_cpp.llama_log_callback(_log)
    _callbacks.append(callback)
    llama_cpp.llama_log_set(callback, None)
    llama_cpp.llama_backend_init()
    return llama_cpp


def _log(level: int, text: bytes, _: object) -> None:
    is_error = level == _LOG_ERROR
    if not is_error and not logger.isEnabledFor(logging.DEBUG):
        return
    line = text.decode("utf-8", "replace").rstrip("\n")
    if is_error:
        _errors.append(line)
    if line.strip(" ."):
        logger.debug("%s", line)


@contextlib.contextmanager
def collected_errors() -> Iterator[collections.deque[str]]:
    """Lines that llama.cpp logs as errors while the block runs: its functions return no reason."""
    _errors.clear()
    yield _errors


def supports_gpu() -> bool:
    """Whether this build of llama.cpp can compute on a GPU."""
    return bool(library().llama_supports_gpu_offload())


class NativeModel:
    """A model in memory. Not thread-safe, except for tokenising.

    Args:
        path: a checked GGUF file.
        num_gpu_layers: layers to put on the GPU; None = all if llama.cpp was built for one, else none.
        vocab_only: load the tokenizer without weights.

    Raises:
        ModelLoadError: llama.cpp refuses the file.
    """

    def __init__(self, path: Path, *, num_gpu_layers: int | None = None, vocab_only: bool = False) -> None:
        self._lib = library()
        params = self._lib.llama_model_default_params()
        if num_gpu_layers is None:
            num_gpu_layers = -1 if supports_gpu() else 0
        params.n_gpu_layers = num_gpu_layers
        params.vocab_only = vocab_only
        with collected_errors() as errors:
            self.pointer = self._lib.llama_model_load_from_file(os.fsencode(path), params)
            if not self.pointer:
                raise _load_error(path, "\n".join(errors))
        self._vocab = self._lib.llama_model_get_vocab(self.pointer)
        self.num_tokens: int = self._lib.llama_vocab_n_tokens(self._vocab)
        self.trained_context_tokens: int = self._lib.llama_model_n_ctx_train(self.pointer)
        self._pieces: dict[int, bytes] = {}
        bos: int = self._lib.llama_vocab_bos(self._vocab)
        eos: int = self._lib.llama_vocab_eos(self._vocab)
        self.bos_text = self.piece(bos).decode("utf-8", "replace") if bos >= 0 else ""
        self.eos_text = self.piece(eos).decode("utf-8", "replace") if eos >= 0 else ""
        self.bos_id: int | None = bos if bos >= 0 and self._lib.llama_vocab_get_add_bos(self._vocab) else None
        self.control, self.forbidden = self._special_tokens()

    @property
    def vocabulary(self) -> Any:
        """The vocabulary's pointer, for samplers."""
        return self._vocab

    def _special_tokens(self) -> tuple[dict[int, str], dict[int, str]]:
        control: dict[int, str] = {}
        forbidden: dict[int, str] = {}
        for token_id in range(self.num_tokens):
            attributes = self._lib.llama_vocab_get_attr(self._vocab, token_id)
            if not attributes & (_ATTR_CONTROL | _ATTR_USER_DEFINED) and not self.ends_turn(token_id):
                continue
            text = self.piece(token_id).decode("utf-8", "replace")
            if attributes & _ATTR_CONTROL:
                control[token_id] = text
            if attributes & _ATTR_CONTROL or self.ends_turn(token_id) or _MARKUP.fullmatch(text):
                forbidden[token_id] = text
        return control, forbidden

    @property
    def kv_bytes_per_token(self) -> int:
        """Bytes that keys and values of one token take in a cache of F16, in a plain transformer."""
        lib = self._lib
        head_size = lib.llama_model_n_embd(self.pointer) // max(1, lib.llama_model_n_head(self.pointer))
        layers: int = lib.llama_model_n_layer(self.pointer)
        kv_heads: int = lib.llama_model_n_head_kv(self.pointer)
        return 2 * 2 * layers * kv_heads * int(head_size)

    @property
    def can_forget(self) -> bool:
        """Whether the last tokens of a sequence can be taken back; a recurrent state keeps no past."""
        lib = self._lib
        return not (lib.llama_model_is_recurrent(self.pointer) or lib.llama_model_is_hybrid(self.pointer))

    def ends_turn(self, token_id: int) -> bool:
        """Whether this token ends the model's turn."""
        return bool(self._lib.llama_vocab_is_eog(self._vocab, token_id))

    def raw_tokenize(self, text: bytes, *, parse_special: bool) -> list[int]:
        """Ids of UTF-8 text, nothing added."""
        capacity = len(text) + 16
        while True:
            buffer = (self._lib.llama_token * capacity)()
            count: int = self._lib.llama_tokenize(
                self._vocab, text, len(text), buffer, capacity, False, parse_special
            )
            if count >= 0:
                return list(buffer[:count])
            capacity = -count

    def piece(self, token_id: int) -> bytes:
        """Bytes of one token, special tokens rendered."""
        known = self._pieces.get(token_id)
        if known is None:
            known = self._pieces[token_id] = self._render(token_id)
        return known

    def _render(self, token_id: int) -> bytes:
        if not 0 <= token_id < self.num_tokens:
            raise ValueError(f"no token has the id {token_id}")
        capacity = 64
        while True:
            buffer = ctypes.create_string_buffer(capacity)
            count: int = self._lib.llama_token_to_piece(self._vocab, token_id, buffer, capacity, 0, True)
            if count >= 0:
                return buffer.raw[:count]
            capacity = -count

    def metadata(self, key: str) -> str | None:
        """A value of the file's metadata as text; arrays have none."""
        size: int = self._lib.llama_model_meta_val_str(self.pointer, key.encode(), None, 0)
        if size < 0:
            return None
        buffer = ctypes.create_string_buffer(size + 1)
        self._lib.llama_model_meta_val_str(self.pointer, key.encode(), buffer, size + 1)
        return buffer.value.decode("utf-8", "replace")

    def free(self) -> None:
        """Give the memory back. A second call does nothing."""
        pointer, self.pointer = self.pointer, None
        if pointer:
            self._lib.llama_model_free(pointer)


def _load_error(path: Path, log: str) -> ModelLoadError:
    """The sentence for a reason that llama.cpp only logs."""
    architecture = re.search(r"unknown (?:model )?architecture: '([^'\n]{1,40})'", log)
    if architecture:
        return ModelLoadError(
            f"{path.name} is a model of the kind {architecture[1]}, which this llama.cpp does not know.",
            hint="Update llama-cpp-python, or choose another model.",
        )
    if re.search(r"bad_alloc|failed to allocate|unable to allocate|out of memory|cudaMalloc", log):
        return ModelLoadError(
            f"There is not enough memory for {path.name}.",
            hint="Choose a smaller model or quantisation, or put fewer layers on the GPU.",
        )
    if re.search(
        r"file bounds|incomplete|failed to read|exceeds remaining|corrupted|failed to load GGUF", log
    ):
        return ModelLoadError(
            f"The model file {path.name} is damaged or incomplete.", hint="Download or copy it again."
        )
    logger.debug("no sentence for: %s", log)
    return ModelLoadError(
        f"llama.cpp cannot load {path.name}.", hint="The log at level DEBUG holds its reasons."
    )
