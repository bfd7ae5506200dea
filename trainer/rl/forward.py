"""What decoding computes: prompts and single tokens of many rows, over keys and values that are kept."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from trainer.rl.attention import Blocks, computed_in, decoding_mode
from trainer.rl.logprobs import blocks_for
from trainer.rl.packing import plan_packs

PREFILL_TOKENS = 8_192
"""Most tokens of prompts that are computed at once."""


class RowCache:
    """Keys and values of all layers, [rows, kv heads, columns, head size], each row filled from column 0.

    What transformers' attention asks of a cache is `update` alone, given positions and a mask.

    Args:
        lengths: of the prompts, one a row.
        num_columns: room of each row.
        device: where it is held.
    """

    def __init__(self, lengths: Sequence[int], num_columns: int, device: torch.device) -> None:
        self._size = (len(lengths), num_columns)
        self._keys: list[Tensor] = []
        self._values: list[Tensor] = []
        self._prompts: tuple[tuple[int, Tensor], ...] = ()
        # Also as plain numbers: a GPU that is asked for them is waited for, in every layer of every token.
        self._ends = list(lengths)
        self.filled = torch.tensor(self._ends, device=device)
        """Columns of each row that hold something, [rows]."""

    @property
    def num_bytes(self) -> int:
        """What keys and values take."""
        return sum(held.nbytes for held in (*self._keys, *self._values))

    def expect(self, prompts: Sequence[tuple[int, Tensor]]) -> None:
        """The next updates bring prompts end to end in one row.

        Args:
            prompts: of each its length and the rows that begin with it; empty = one token a row from now on.
        """
        self._prompts = tuple(prompts)

    def update(self, keys: Tensor, values: Tensor, layer: int, *_: object) -> tuple[Tensor, Tensor]:
        """Add what was computed in one layer, and give what attention is to see."""
        if layer == len(self._keys):
            for held, new in ((self._keys, keys), (self._values, values)):
                size = (self._size[0], new.shape[1], self._size[1], new.shape[3])
                # Under autocast all would else be cast again for every token.
                held.append(torch.zeros(size, dtype=computed_in(new), device=new.device))
        held_keys, held_values = self._keys[layer], self._values[layer]
        if self._prompts:
            start = 0
            for length, rows in self._prompts:
                held_keys[rows, :, :length] = keys[0, :, start : start + length].to(held_keys.dtype)
                held_values[rows, :, :length] = values[0, :, start : start + length].to(held_values.dtype)
                start += length
            return keys, values
        count, end = len(self._ends), max(self._ends) + 1
        every = torch.arange(count, device=keys.device)
        held_keys[every, :, self.filled] = keys[:, :, 0].to(held_keys.dtype)
        held_values[every, :, self.filled] = values[:, :, 0].to(held_values.dtype)
        return held_keys[:count, :, :end], held_values[:count, :, :end]

    def mask(self) -> Tensor:
        """What the next token of each row sees, itself included, [rows, 1, 1, columns]."""
        columns = torch.arange(max(self._ends) + 1, device=self.filled.device)
        return (columns <= self.filled[:, None])[:, None, None]

    def advance(self, count: int = 1) -> None:
        """Each row holds so many columns more."""
        self._ends = [end + count for end in self._ends]
        self.filled = self.filled + count

    def keep(self, rows: Sequence[int]) -> None:
        """Let go of all rows but these."""
        places = torch.tensor(rows, device=self.filled.device)
        for held in (*self._keys, *self._values):
            held[: len(rows)] = held[places]
        self.filled = self.filled[places]
        self._ends = [self._ends[row] for row in rows]


class CachedForward:
    """A decoder over a `RowCache`.

    Args:
        model: a transformers decoder with submodules `model` and `lm_head`.
        autocast: dtype of the computation; None = that of the weights.
    """

    def __init__(self, model: nn.Module, autocast: torch.dtype | None) -> None:
        self._model = model
        self._autocast = autocast

    @contextmanager
    def drawing(self) -> Iterator[None]:
        """Around all that is computed for some replies: weights are cast once for them, not once for every token.

        They must not change meanwhile. torch lets go of what autocast has cast when the outermost context is left, be
        it one that casts nothing.
        """
        device = next(self._model.parameters()).device.type
        with decoding_mode(self._model), torch.autocast(device, enabled=False):
            yield

    def prompts(self, prompts: Sequence[tuple[int, ...]], cache: RowCache) -> Tensor:
        """Logits [rows, V] behind each prompt, one a row; equal prompts are computed once."""
        device = cache.filled.device
        owners: dict[tuple[int, ...], list[int]] = {}
        for row, prompt in enumerate(prompts):
            owners.setdefault(prompt, []).append(row)
        unique = list(owners)
        behind: dict[int, Tensor] = {}
        for places in plan_packs([len(prompt) for prompt in unique], PREFILL_TOKENS):
            chosen = [unique[place] for place in places]
            rows = [torch.tensor(owners[prompt], device=device) for prompt in chosen]
            cache.expect([(len(prompt), each) for prompt, each in zip(chosen, rows, strict=True)])
            ids = torch.tensor([token for prompt in chosen for token in prompt], device=device)[None]
            positions = torch.cat([torch.arange(len(prompt), device=device) for prompt in chosen])[None]
            blocks = tuple((len(prompt),) for prompt in chosen)
            hidden = self._forward(ids, positions, None, cache, blocks)[0]
            ends = torch.tensor(blocks, device=device).sum(1).cumsum(0) - 1
            for prompt, state in zip(chosen, hidden[ends], strict=True):
                behind |= dict.fromkeys(owners[prompt], state)
        cache.expect(())
        return self._head(torch.stack([behind[row] for row in range(len(prompts))]))

    def tokens(self, last: Sequence[int], cache: RowCache) -> Tensor:
        """Logits [rows, V] behind the last token of each row, which is not in the cache yet."""
        ids = torch.tensor(last, dtype=torch.long, device=cache.filled.device)[:, None]
        hidden = self._forward(ids, cache.filled[:, None], cache.mask(), cache, None)
        cache.advance()
        return self._head(hidden[:, -1])

    def _forward(
        self,
        ids: Tensor,
        positions: Tensor,
        mask: Tensor | None,
        cache: RowCache,
        blocks: Blocks | None,
    ) -> Tensor:
        with torch.autocast(ids.device.type, dtype=self._autocast, enabled=self._autocast is not None):
            output = self._model.get_submodule("model")(
                input_ids=ids,
                position_ids=positions,
                attention_mask=mask,
                past_key_values=cache,
                use_cache=True,
                **(blocks_for(self._model, blocks) if blocks else {}),
            )
        states: Tensor = output.last_hidden_state
        return states

    def _head(self, hidden: Tensor) -> Tensor:
        with torch.autocast(hidden.device.type, dtype=self._autocast, enabled=self._autocast is not None):
            logits: Tensor = self._model.get_submodule("lm_head")(hidden)
        return logits
