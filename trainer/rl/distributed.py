"""Several processes that train one policy: what torchrun starts, over FSDP2 (`torch.distributed.fsdp.fully_shard`).

Weights, gradients and moments are sharded layer by layer. Readings are drawn and scored on whole weights, gathered for
that time, since every process writes replies of other lengths and collectives inside would never meet. What was drawn
is then exchanged, so that every process knows all rollouts and plans the same packs; pack i is computed by process
i mod N. The denominator, the shuffle and the advantages are therefore those of one process, and none needs to ask.
"""

import atexit
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor

from trainer.rl.errors import RecipeError
from trainer.rl.recipe import Recipe

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranks:
    """The processes of a run. One process alone exchanges nothing.

    Attributes:
        rank: number of this process, from 0.
        count: how many there are.
        local: number of this process on its machine.
    """

    rank: int = 0
    count: int = 1
    local: int = 0

    @property
    def is_first(self) -> bool:
        """Whether this process writes the folder of the run."""
        return self.rank == 0

    def share(self, items: Sequence[_T]) -> list[_T]:
        """What this process does of something that is split: every N-th."""
        return list(items[self.rank :: self.count])

    def gather(self, share: Sequence[_T]) -> list[_T]:
        """All of what was split by `share`, in its order, in every process."""
        if self.count == 1:
            return list(share)
        parts = self.everyone(list(share))
        return [parts[i % self.count][i // self.count] for i in range(sum(map(len, parts)))]

    def everyone(self, value: _T) -> list[_T]:
        """The value of each process, in every process."""
        if self.count == 1:
            return [value]
        found: list[Any] = [None] * self.count
        dist.all_gather_object(found, value)
        return found

    def first(self, make: Callable[[], _T]) -> _T:
        """What the first process makes, in every process."""
        if self.count == 1:
            return make()
        held: list[Any] = [make() if self.is_first else None]
        dist.broadcast_object_list(held, src=0)
        made: _T = held[0]
        return made

    def wait(self) -> None:
        """Wait until every process is here."""
        if self.count > 1:
            dist.barrier()


SOLO = Ranks()
"""One process."""


def join_ranks(recipe: Recipe, *, is_gpu: bool) -> Ranks:
    """Meet the processes that torchrun started; without it there is one.

    Args:
        recipe: the run.
        is_gpu: each process has a GPU of its own (nccl); else they meet by gloo.

    Raises:
        RecipeError: the recipe cannot be trained by several processes.
    """
    count = int(os.environ.get("WORLD_SIZE", "1"))
    if count == 1:
        return SOLO
    _check(recipe)
    if not dist.is_initialized():
        local = int(os.environ.get("LOCAL_RANK", "0"))
        if is_gpu:
            torch.cuda.set_device(local)
        dist.init_process_group("nccl" if is_gpu else "gloo")
        atexit.register(dist.destroy_process_group)
    return Ranks(rank=dist.get_rank(), count=count, local=int(os.environ.get("LOCAL_RANK", "0")))


def _check(recipe: Recipe) -> None:
    """What is kept in blocks of its own cannot be cut into shards."""
    refused = {
        "the stage pretrain": recipe.run.stage == "pretrain",
        "optimizer.is_8bit": recipe.optimizer.is_8bit,
        "model.base_bits below 32": recipe.model.base_bits < 32,
        'rollout.engine = "vllm"': recipe.rollout.engine == "vllm",
    }
    for what, is_asked in refused.items():
        if is_asked:
            raise RecipeError(
                f"Several processes cannot share a run with {what}.",
                hint="Start it without torchrun, or change the recipe.",
            )


class _Root(nn.Module):
    """What FSDP2 takes for the model: its forward pass is whatever is computed with all of the policy's parts.

    Hidden states and head are called apart (`trainer.rl.logprobs`), never through the policy's own forward pass, so
    that hooks there would not be reached.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, work: Callable[[], _T]) -> _T:
        """Do something with the embedding, norm and head gathered."""
        return work()


class Sharding:
    """A policy in shards.

    Args:
        model: a transformers decoder with submodules `model`, `model.layers` and `lm_head`; is changed in place.
        ranks: the processes, more than one.
    """

    def __init__(self, model: nn.Module, ranks: Ranks) -> None:
        kind = "cuda" if next(model.parameters()).is_cuda else "cpu"
        mesh = init_device_mesh(kind, (ranks.count,))
        self._root = _Root(model)
        for layer in model.get_submodule("model.layers").children():
            fully_shard(layer, mesh=mesh)
        # Embedding and head in one group: they may be one weight.
        fully_shard(self._root, mesh=mesh, reshard_after_forward=False)
        self._layers = [m for m in model.modules() if isinstance(m, FSDPModule)]
        self._root(lambda: None)  # the first forward pass makes it the root
        root: Any = self._root
        root.reshard()  # whoever asks for parameters now must be given the shards

    def compute(self, work: Callable[[], tuple[Tensor, ...]]) -> tuple[Tensor, ...]:
        """A forward pass with gradient; every process must do as many of them."""
        found: tuple[Tensor, ...] = self._root(work)
        return found

    @contextmanager
    def whole(self) -> Iterator[None]:
        """All weights gathered in every process, for work without gradient and without lockstep."""
        every: list[Any] = [self._root, *self._layers]
        for module in every:
            module.set_reshard_after_forward(False, recurse=False)
            module.unshard()
        try:
            yield
        finally:
            for module in every:
                module.reshard()
            for layer in every[1:]:
                layer.set_reshard_after_forward(True, recurse=False)


def gathered(value: Any) -> Any:
    """Plain tensors in place of shards, anywhere in dicts and lists; every process must ask."""
    if isinstance(value, DTensor):
        return value.full_tensor()
    if isinstance(value, Mapping):
        return {key: gathered(each) for key, each in value.items()}
    if isinstance(value, list):
        return [gathered(each) for each in value]
    return value


def like(value: Tensor, parameter: Tensor) -> Tensor:
    """A whole tensor, cut as a parameter is cut; every process holds the whole one."""
    if not isinstance(parameter, DTensor) or value.shape != parameter.shape:
        return value
    on_device = value.to(parameter.device)
    return distribute_tensor(on_device, parameter.device_mesh, parameter.placements, src_data_rank=None)


@torch.no_grad()
def put_weights(model: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Copy whole tensors into a policy, in shards or not."""
    for name, parameter in model.state_dict(keep_vars=True).items():
        if name in weights:
            parameter.copy_(like(weights[name], parameter))
