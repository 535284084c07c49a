"""Options over a bundle's defaults. How they are refused is shown on the model, in tests/runtime."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cnnrnn.core.errors import OptionsError
from cnnrnn.core.search import SearchOptions, check, options_for


def test_defaults_are_the_manifests(manifest):
    assert options_for(manifest) == SearchOptions(3, 8, 1, 1.0, False, n_best=3)
    assert options_for(manifest, beams=5).n_best == 5
    given = options_for(
        manifest, beams=2, max_length=4, min_length=0, length_penalty=0, early_stopping="never", n_best=1
    )
    assert given == SearchOptions(2, 4, 0, 0, "never", 1)


def test_a_shorter_limit_than_the_default_minimum_is_named(manifest):
    strict = replace(manifest, search=replace(manifest.search, min_length=4))
    with pytest.raises(OptionsError, match="min_length=4 is outside 0 to 3: it cannot be above max_length=3"):
        options_for(strict, max_length=3)


def test_check_refuses_what_the_bundle_was_not_exported_for(manifest):
    check(SearchOptions(5, 8), manifest)
    with pytest.raises(OptionsError, match="beams=6 is outside 1 to 5: bundle 'tiny'"):
        check(SearchOptions(6, 8), manifest)
