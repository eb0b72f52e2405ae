"""`import interlock` offers what it says."""

import importlib.metadata

import pytest

import interlock


@pytest.mark.parametrize("name", interlock.__all__)
def test_every_public_name_is_there(name):
    assert getattr(interlock, name) is not None


def test_an_unknown_name_is_an_attribute_error_that_says_what_there_is():
    with pytest.raises(AttributeError, match=r"no attribute 'Intrelock'; it offers .*InterlockError"):
        interlock.Intrelock  # noqa: B018


def test_version_is_the_distribution_s():
    assert interlock.__version__ == importlib.metadata.version("interlock")
