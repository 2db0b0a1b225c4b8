"""Fixtures that many tests use."""

import sys

import pytest
import stub_engine


@pytest.fixture
def quick_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    """An engine that only swaps names, for tests of everything around the engine."""
    monkeypatch.setitem(sys.modules, "transpiler.convert", stub_engine.make_module())
