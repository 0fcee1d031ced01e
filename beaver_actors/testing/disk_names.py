"""The names on the simulated disk: which file or directory stands where, as seen now and as the disk has it.

Names are changed at once and are on the disk after a sync of their directory; what a power cut leaves of the
changes in between is said here alone. It knows nothing of bytes. The rules are in `testing/disk.py`.
"""

from __future__ import annotations

from collections.abc import Iterable
from random import Random
from typing import NamedTuple

from beaver_actors.testing.disk_contents import Content


class Directory:
    """Names, each with the file or directory that it stands for."""

    __slots__ = ("cache", "disk")

    def __init__(self) -> None:
        self.cache: dict[str, Node] = {}
        self.disk: dict[str, Node] = {}


Node = Content | Directory


class Link(NamedTuple):
    """What becomes of one name."""

    directory: Directory
    base: str
    before: Node | None
    """What it stood for; None: it was free."""
    after: Node | None


Change = tuple[Link, ...]
"""What one call does: all of it reaches the disk, or nothing."""


class Names:
    """All directories. The outermost one holds the data directory."""

    def __init__(self) -> None:
        self.outermost = Directory()
        self.pending: list[Change] = []
        """Changes that no sync has brought to the disk, in order."""

    def change(self, *links: tuple[Directory, str, Node | None]) -> None:
        """Change what names stand for, in one go."""
        change = tuple(Link(where, base, where.cache.get(base), after) for where, base, after in links)
        _apply_to_cache(change)
        self.pending.append(change)

    def sync(self, directory: Directory) -> None:
        """Bring the changes in one directory to the disk."""
        if self.pending:
            self._persist([any(link.directory is directory for link in change) for change in self.pending])

    def settle(self) -> None:
        """Bring everything to the disk."""
        self._persist([True] * len(self.pending))

    def lose_power(self, random: Random | None) -> None:
        """What is on the disk becomes what is seen.

        Args:
            random: decides which changes have reached the disk; None: none.
        """
        count = len(self.pending)
        if random is not None and count:
            way = random.random()
            if way < 0.4:  # in order, as a journal of the file system has it
                first = random.randint(0, count)
                self._persist([place < first for place in range(count)])
            elif way < 0.8:
                self._persist([random.random() < 0.5 for _ in range(count)])
            elif way < 0.9:  # all but one
                odd = random.randrange(count)
                self._persist([place != odd for place in range(count)])
        self.pending.clear()
        for _, directory in self.directories(on_disk=True):
            directory.cache = dict(directory.disk)

    def directories(self, *, on_disk: bool = False) -> Iterable[tuple[str, Directory]]:
        """All that can be reached, with their paths; the data directory's own is empty."""
        yield "..", self.outermost
        waiting = [("", self.outermost)]
        while waiting:
            path, directory = waiting.pop()
            for base, node in (directory.disk if on_disk else directory.cache).items():
                if isinstance(node, Directory):
                    inner = f"{path}/{base}" if path else base
                    yield inner, node
                    waiting.append((inner, node))

    def copy(self) -> Names:
        twins: dict[int, Node] = {}

        def twin_of(node: Node) -> Node:
            twin = twins.get(id(node))
            if twin is None:
                twin = twins[id(node)] = node.copy() if isinstance(node, Content) else copied(node)
            return twin

        def copied(directory: Directory) -> Directory:
            twin = twins[id(directory)] = Directory()
            twin.cache = {base: twin_of(node) for base, node in directory.cache.items()}
            twin.disk = {base: twin_of(node) for base, node in directory.disk.items()}
            return twin

        names = Names()
        names.outermost = copied(self.outermost)
        for change in self.pending:
            links = []
            for where, base, before, after in change:
                directory = twin_of(where)
                assert isinstance(directory, Directory)
                links.append(Link(directory, base, before and twin_of(before), after and twin_of(after)))
            names.pending.append(tuple(links))
        return names

    def _persist(self, wanted: list[bool]) -> None:
        """Bring the wanted changes to the disk, and with each the earlier ones of the same names that it
        rests on: so none is ever made to another file than the one it was about."""
        rested_on: set[tuple[int, str]] = set()
        for place in range(len(wanted) - 1, -1, -1):
            slots = {(id(link.directory), link.base) for link in self.pending[place]}
            if wanted[place] or not rested_on.isdisjoint(slots):
                wanted[place] = True
                rested_on |= slots
        for change, is_wanted in zip(self.pending, wanted, strict=True):
            if is_wanted:
                _apply_to_disk(change)
        self.pending = [
            change for change, is_wanted in zip(self.pending, wanted, strict=True) if not is_wanted
        ]


def _apply_to_cache(change: Change) -> None:
    for directory, base, _, after in change:
        if after is None:
            del directory.cache[base]
        else:
            directory.cache[base] = after


def _apply_to_disk(change: Change) -> None:
    for directory, base, before, after in change:
        assert directory.disk.get(base) is before, f"{base} does not stand for what the change was about"
        if after is None:
            directory.disk.pop(base, None)
        else:
            directory.disk[base] = after
