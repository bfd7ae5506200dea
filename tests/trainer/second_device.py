"""A device beside the CPU that refuses what a GPU refuses, for machines without one.

Its tensors hold CPU tensors, so that what is computed is right and can be compared; to torch they stand on a device
of their own, and an operation that is given tensors of both fails, as it would on a GPU. What is special about CUDA
(its kernels, streams, allocator) is not shown by it. Made with torch's support for devices written in Python, which
is experimental: `torch.utils.backend_registration`.
"""

import weakref
from functools import partial, partialmethod
from typing import Any

import torch
from torch import Tensor, UntypedStorage
from torch.utils._pytree import tree_iter, tree_map, tree_map_only
from torch.utils.backend_registration import _DummyBackendModule, _setup_privateuseone_for_python_backend
from transformers import PreTrainedModel

NAME = "second"
_KEY = "PrivateUse1"
_COPIES = ("aten::copy_", "aten::_copy_from", "aten::_to_copy")
_VIEWS = ("aten::view", "aten::_unsafe_view", "aten::_reshape_alias")
_TAKE_CPU_INDICES = ("aten::index", "aten::index_put", "aten::index_put_", "aten::_index_put_impl_")
_held: dict[int, tuple[Tensor, weakref.ref[UntypedStorage]]] = {}
"""What a tensor holds, by its storage: torch makes new tensors of the same storage without asking."""
_libraries: list[Any] = []
"""What is registered lives as long as these."""


class SecondTensor(Tensor):
    """A tensor on the second device; without a type of their own they cannot become parameters."""

    __torch_function__ = torch._C._disabled_torch_function_impl  # type: ignore[assignment]


def register() -> None:
    """Make the device known to this process, for good."""
    _setup_privateuseone_for_python_backend(NAME, backend_module=_Module())
    library: Any = torch.library.Library
    rest = library("_", "IMPL")
    rest.fallback(_compute, _KEY)
    # What torch would put together of other operations gets its sizes wrong there.
    known = library("aten", "IMPL")
    for kind in ("CompositeExplicitAutogradNonFunctional", "CompositeExplicitAutograd"):
        for name in torch._C._dispatch_get_registrations_for_dispatch_key(kind):
            if name.startswith("aten::"):
                base, _, overload = name.removeprefix("aten::").partition(".")
                operation = getattr(getattr(torch.ops.aten, base), overload or "default")
                known.impl(operation, partial(_compute, operation), _KEY)
    _libraries.extend((rest, known))
    # Else weights that two layers share become two; on a GPU they stay one.
    torch.__future__.set_swap_module_params_on_conversion(True)
    # Storages of a device written in Python have neither bytes nor addresses; a GPU's have.
    torch.save = partial(_save, torch.save)
    PreTrainedModel.save_pretrained = partialmethod(_save_pretrained, PreTrainedModel.save_pretrained)


class _Module(_DummyBackendModule):
    def get_amp_supported_dtype(self) -> list[torch.dtype]:
        return [torch.bfloat16]


def _compute(operation: Any, *args: Any, **kwargs: Any) -> Any:
    """Do an operation on what the tensors hold."""
    schema = operation._schema
    _check(schema.name, args, kwargs)
    if schema.name == "aten::_copy_from":
        source, target = args[:2]
        _plain(target).copy_(_plain(source))
        return target
    if schema.name in _VIEWS:
        return _wrapped(_content(args[0]).reshape(args[1]))
    device = kwargs.get("device")
    is_ours = torch.device(device).type == NAME if device is not None else _has_ours((args, kwargs))
    plain = tree_map(_plain, kwargs) | ({"device": torch.device("cpu")} if device is not None else {})
    made = operation(*tree_map(_plain, args), **plain)
    if not schema.returns:
        return None
    changed = schema.returns[0].alias_info
    if changed is not None and changed.is_write:
        given = dict(zip((argument.name for argument in schema.arguments), args, strict=False)) | kwargs
        return next(
            given[argument.name]
            for argument in schema.arguments
            if argument.alias_info is not None and argument.alias_info.before_set == changed.before_set
        )
    return tree_map(_wrapped, made) if is_ours else made


def _check(name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """Refuse tensors of both devices; numbers of the CPU are welcome, and where a GPU takes them, indices."""
    if name in _COPIES:
        return
    if name in _TAKE_CPU_INDICES:
        args = (args[0], *args[2:])
    tensors = [value for value in tree_iter((args, kwargs)) if isinstance(value, Tensor)]
    others = [value for value in tensors if value.device.type != NAME and value.ndim > 0]
    if others and _has_ours(tensors):
        raise RuntimeError(f"{name}: tensors on {NAME} and on {others[0].device}")


def _has_ours(tree: object) -> bool:
    return any(isinstance(value, Tensor) and value.device.type == NAME for value in tree_iter(tree))


def _content(tensor: Tensor) -> Tensor:
    return _held[tensor.untyped_storage()._cdata][0]


def _plain(value: Any) -> Any:
    return _content(value) if isinstance(value, Tensor) and value.device.type == NAME else value


def _wrapped(value: Any) -> Any:
    if not isinstance(value, Tensor):
        return value
    made: Tensor = torch._C._acc.create_empty_tensor(tuple(value.shape), value.dtype)
    made.__class__ = SecondTensor
    storage = made.untyped_storage()
    key = storage._cdata
    _held[key] = (value, weakref.ref(storage, lambda _: _held.pop(key, None)))
    return made


def _save(save: Any, state: Any, *args: Any, **kwargs: Any) -> None:
    save(tree_map_only(Tensor, lambda tensor: tensor.detach().cpu(), state), *args, **kwargs)


def _save_pretrained(model: Any, save: Any, folder: object) -> None:
    save(model.to("cpu"), folder)
