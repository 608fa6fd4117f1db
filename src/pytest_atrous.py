"""The pytest plugin: the assertions of `atrous.testing` as fixtures.

It stands beside the package, not in it: pytest imports it at every start, and the package imports
torch, which only a test that uses a fixture should have to wait for.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest


@pytest.fixture(scope="session")
def assert_receptive_field() -> Callable[..., None]:
    """`atrous.testing.assert_receptive_field(model, x, size=..., stride=...)`."""
    from atrous import testing

    return testing.assert_receptive_field


@pytest.fixture(scope="session")
def assert_no_holes() -> Callable[..., None]:
    """`atrous.testing.assert_no_holes(model, x)`."""
    from atrous import testing

    return testing.assert_no_holes


@pytest.fixture(scope="session")
def assert_causal() -> Callable[..., None]:
    """`atrous.testing.assert_causal(model, x)`."""
    from atrous import testing

    return testing.assert_causal
