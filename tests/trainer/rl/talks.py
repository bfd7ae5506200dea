"""Conversations out of random numbers."""

import random

from trainer.rl.data import Conversation, Group, TokenSet, Trajectory


def make_talk(rng: random.Random, *, turn: int = 0, vocabulary: int = 97, most: int = 12) -> Conversation:
    """A conversation; some of its tokens were drawn from few."""
    response = tuple(rng.randrange(2, vocabulary) for _ in range(rng.randint(1, most)))
    allowed: list[TokenSet | None] = []
    for token in response:
        others = {token, *(rng.randrange(2, vocabulary) for _ in range(5))}
        kind = rng.randrange(3)
        if kind == 0:
            allowed.append(None)
        elif kind == 1:
            allowed.append(TokenSet(tuple(sorted(others))))
        else:
            shut = tuple(sorted(set(range(2, 20)) - {token}))
            allowed.append(TokenSet(shut, is_complement=True))
    return Conversation(
        prompt_ids=tuple(rng.randrange(2, vocabulary) for _ in range(rng.randint(1, 3 * most))),
        response_ids=response,
        rollout_logprobs=tuple(-3 * rng.random() for _ in response),
        allowed=tuple(allowed),
        turn=turn,
        finish_reason=rng.choice(("stop", "length")),
        purpose="read",
        chunk_index=turn,
        max_tokens=most,
        reply=f"reply {turn}",
        credit=rng.choice((None, rng.random())),
    )


def make_group(rng: random.Random, *, size: int = 4) -> Group:
    """A group of readings with one to four conversations each."""
    return Group(
        task_id=f"task-{rng.randrange(10**6)}",
        question="What?",
        golds=(("this", "that"),),
        num_chunks=3,
        position=0.5,
        trajectories=tuple(
            Trajectory(
                conversations=tuple(make_talk(rng, turn=turn) for turn in range(rng.randint(1, 4))),
                reward=rng.choice((0.0, 0.5, 1.0)),
                answer="this",
                memory_tokens=(1, 2),
                gold_in_memory=(0.0, 1.0),
                incidents=("empty reply",),
            )
            for _ in range(size)
        ),
    )
