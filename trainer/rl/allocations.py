"""Bytes that tensors take, counted while code runs; on tensors without contents it takes neither memory nor long.

Under `torch._subclasses.fake_tensor.FakeTensorMode` every operation works out shapes and nothing else. Counting the
storages that come and go meanwhile gives the peak that the same code would reach.
"""

import weakref
from typing import Any

from torch import Tensor, UntypedStorage, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter


class Allocations(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts the storages of all that is computed inside.

    Attributes:
        now: bytes of the storages that are alive.
        peak: the most that they ever were.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.now = 0
        self.peak = 0
        self._known: dict[int, weakref.ref[UntypedStorage]] = {}

    def add(self, module: nn.Module) -> None:
        """Count weights that were made before."""
        for tensor in (*module.parameters(), *module.buffers()):
            self._see(tensor)

    def from_here(self) -> None:
        """Begin a new peak."""
        self.peak = self.now

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Do what is to be done, and count what comes of it."""
        made = func(*args, **(kwargs or {}))
        for value in tree_iter(made):
            if isinstance(value, Tensor):
                self._see(value)
        return made

    def _see(self, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        key = id(storage)
        if key in self._known:
            return
        size = storage.nbytes()

        def forget(_: object) -> None:
            del self._known[key]
            self.now -= size

        self._known[key] = weakref.ref(storage, forget)
        self.now += size
        self.peak = max(self.peak, self.now)
