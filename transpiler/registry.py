"""Tables whose entries are found when they are asked for."""

from __future__ import annotations

from collections.abc import Callable, ItemsView, Iterator, Mapping, ValuesView
from typing import Any, TypeVar, overload

Other = TypeVar("Other")
Value = TypeVar("Value")


class Registry(dict[str, Value]):
    """A dict of which some keys are only expected: where they are defined is known, no more.

    Asking for a key finds its value, going through the keys finds all of them.
    """

    def __init__(self) -> None:
        super().__init__()
        self._expected: dict[str, list[int]] = {}
        self._find: Callable[[int, str], Any] | None = None

    def expect(self, places: Mapping[str, list[int]], find: Callable[[int, str], Value]) -> None:
        """Keys with the numbers of the places that define them.

        Lists of several places are joined; of other values the last place's holds.
        """
        self._expected = dict(places)
        self._find = find

    def put(self, key: str, value: Value) -> None:
        """Set a key whatever is expected of it."""
        self._expected.pop(key, None)
        self[key] = value

    def _look_for(self, key: str) -> None:
        assert self._find is not None
        for place in self._expected.pop(key):
            found = self._find(place, key)
            known = super().get(key)
            if isinstance(found, list):
                found = [*(known or []), *found]  # type: ignore[misc]
            self[key] = found

    def _look_for_all(self) -> None:
        for key in list(self._expected):
            self._look_for(key)

    def __getitem__(self, key: str) -> Value:
        if key in self._expected:
            self._look_for(key)
        return super().__getitem__(key)

    @overload
    def get(self, key: str, default: None = None, /) -> Value | None: ...
    @overload
    def get(self, key: str, default: Value | Other, /) -> Value | Other: ...
    def get(self, key: str, default: Any = None, /) -> Any:
        if key in self._expected:
            self._look_for(key)
        return super().get(key, default)

    def __contains__(self, key: object) -> bool:
        return key in self._expected or super().__contains__(key)

    def __iter__(self) -> Iterator[str]:
        self._look_for_all()
        return super().__iter__()

    def __len__(self) -> int:
        return super().__len__() + len(self._expected)

    def values(self) -> ValuesView[Value]:  # type: ignore[override]
        self._look_for_all()
        return super().values()

    def items(self) -> ItemsView[str, Value]:  # type: ignore[override]
        self._look_for_all()
        return super().items()
