"""What the tests of a user's kernels share."""

from __future__ import annotations

import pytest


@pytest.fixture(scope="session")
def cache(tmp_path_factory):
    """An empty cache for what they compile: the emulator once for all tests of a process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYCNN_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))
        yield
