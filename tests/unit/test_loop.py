"""What the tests' own loop says of the values that fail."""

from __future__ import annotations

import pytest

from tests.loop import for_each


def test_all_values_that_fail_are_listed() -> None:
    seen = []

    @for_each("number, name", [(1, "a"), (2, "b"), (3, "c")])
    def check(number: int, name: str) -> None:
        seen.append(name)
        assert number == 2, f"{name} is wrong"

    with pytest.raises(pytest.fail.Exception) as caught:
        check()

    lines = str(caught.value).splitlines()
    assert [line for line in lines if "wrong" in line] == [
        "(1, 'a'): a is wrong",
        "(3, 'c'): c is wrong",
    ]
    assert seen == ["a", "b", "c"]
