"""The workers of a run: which share of the plan this process makes, and how it agrees with the others.

Two ways lead to several workers. A launcher (``torchrun``, ``accelerate launch``) starts them together and gives them a
store to talk through. ``--shard i/n`` starts one without any: the others may run at another time, on another machine.
Either way the shares follow from the plan alone, so no item's bytes depend on the number of workers.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import count
from typing import TYPE_CHECKING, Protocol, TypeVar

from aligndiff_cli.errors import UsageError

if TYPE_CHECKING:
    from torch.distributed.distributed_c10d import Store

T = TypeVar("T")
PAUSE = 0.1
STORE_TIMEOUT = timedelta(minutes=10)
"""How long the workers of a launcher may take to find each other."""
_RUNS = count()


class Progress(Protocol):
    """Where a stage reports how far it is; the units are its own (images, optimization steps)."""

    def start(self, total: int, unit: str) -> None: ...
    def advance(self, units: int, note: str = "") -> None: ...


@dataclass(frozen=True)
class Share:
    """The groups number, number + count, number + 2 count, ... of a plan, counted from 0."""

    number: int = 0
    count: int = 1

    @property
    def name(self) -> str:
        """What its manifest is called after, e.g. "2-of-4"; "" for the whole."""
        return f"{self.number + 1}-of-{self.count}" if self.count > 1 else ""

    def has(self, index: int) -> bool:
        """Whether the group at this index of the plan belongs to it."""
        return index % self.count == self.number


ALL = Share()


class Team:
    """The workers as the runner knows them; here, a process that talks to no other: a run alone, or one shard.

    Attributes:
        share: of this process.
        leads: whether this process sees to the whole plan before and after, for all that can be waited for.
        launched: whether there are others that can be waited for.
        whole: whether it is all of them that do the whole plan: not so for one shard.
    """

    leads = True
    launched = False

    def __init__(self, share: Share = ALL) -> None:
        self.share = share

    @property
    def whole(self) -> bool:
        return self.launched or self.share.count == 1

    def in_turn(self, action: Callable[[], T]) -> T:
        """Run something in every process, in the leader first."""
        return action()

    def gather(self, text: str) -> list[str]:
        """The texts of all, in the leader, when all have come here; elsewhere nothing."""
        return [text]

    def progress(self, shown: Progress) -> Progress:
        """What to report to, so that ``shown`` tells of all workers."""
        return shown


class Launched(Team):
    """One of a launcher's workers, which talk through its key-value store.

    Waiting is done by asking again and again, so that an interrupt is heard, and the progress shown, meanwhile.
    """

    launched = True

    def __init__(self, share: Share, store: Store) -> None:
        super().__init__(share)
        self.leads = share.number == 0
        self._store = store
        self._turns = 0
        self._shown: Progress | None = None
        self._told = 0

    def in_turn(self, action: Callable[[], T]) -> T:
        self._turns += 1
        key = f"turn {self._turns}"
        if not self.leads:
            self._wait_for([key])
        result = action()
        if self.leads:
            self._store.set(key, "done")
        return result

    def gather(self, text: str) -> list[str]:
        self._turns += 1
        keys = [f"text {self._turns} of {number}" for number in range(self.share.count)]
        self._store.set(keys[self.share.number], text)
        if not self.leads:
            return []
        self._wait_for(keys)
        return [self._store.get(key).decode() for key in keys]

    def progress(self, shown: Progress) -> Progress:
        if self.leads:
            self._shown = shown
        return self

    def start(self, total: int, unit: str) -> None:
        """Show the progress of all, in the leader."""
        if self._shown is not None:
            self._shown.start(total, unit)

    def advance(self, units: int, note: str = "") -> None:
        """Count units of this worker; the leader shows everybody's."""
        done = self._store.add("units", units)
        if self._shown is not None:
            self._shown.advance(done - self._told, note)
            self._told = done

    def _wait_for(self, keys: Sequence[str]) -> None:
        while not self._store.check(list(keys)):
            time.sleep(PAUSE)
            self.advance(0)
        self.advance(0)


def join_team(shard: str | None) -> Team:
    """The team this process belongs to, by ``--shard`` or by the launcher's environment.

    Args:
        shard: "i/n", i from 1 to n; None if not given.

    Raises:
        UsageError: not such a text, both ways at once, or an environment that makes no sense.
    """
    rank, world = launcher_place()
    if shard is not None:
        if world > 1:
            raise UsageError(
                "--shard has no meaning under torchrun or accelerate launch", remedy="Leave out one of them"
            )
        return Team(parse_shard(shard))
    return Team() if world == 1 else Launched(Share(rank, world), _open_store())


def parse_shard(text: str) -> Share:
    """``"2/4"`` -> the second of four shares.

    Raises:
        UsageError: not two numbers i/n with 1 <= i <= n.
    """
    found = re.fullmatch(r"(\d+)/(\d+)", text.strip())
    number, total = (int(found[1]), int(found[2])) if found else (0, 0)
    if not 1 <= number <= total:
        raise UsageError(
            f"--shard: expected i/n with i from 1 to n, such as 1/4, got {text!r}",
            remedy="In a Slurm array: sbatch --array=1-4, and --shard $SLURM_ARRAY_TASK_ID/4",
        )
    return Share(number - 1, total)


def launcher_place() -> tuple[int, int]:
    """Rank and number of a launcher's workers; (0, 1) without a launcher.

    Raises:
        UsageError: RANK and WORLD_SIZE are not what a launcher sets.
    """
    names = ("RANK", "WORLD_SIZE")
    if "WORLD_SIZE" not in os.environ:
        return 0, 1
    texts = [os.environ.get(name, "") for name in names]
    rank, world = (int(text) if text.isdecimal() else -1 for text in texts)
    if not 0 <= rank < world:
        told = ", ".join(f"{name}={text!r}" for name, text in zip(names, texts, strict=True))
        raise UsageError(
            f"the environment says {told}, which no launcher sets",
            remedy="Unset WORLD_SIZE to run alone, or start the workers with torchrun or accelerate launch",
        )
    return rank, world


def _open_store() -> Store:
    """The launcher's store, with names of its own for each run of this process."""
    from torch.distributed.distributed_c10d import PrefixStore
    from torch.distributed.rendezvous import rendezvous

    try:
        store, *_ = next(rendezvous("env://", timeout=STORE_TIMEOUT))
    except (ValueError, RuntimeError) as error:
        raise UsageError(
            f"the launcher's workers cannot find each other ({error})",
            remedy="Start them with torchrun or accelerate launch, which set MASTER_ADDR and MASTER_PORT",
        ) from error
    return PrefixStore(f"aligndiff {next(_RUNS)}", store)
