"""What the benchmark of deploys measures."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.options import parse


@pytest.fixture
def measured(tmp_path: Path, request: pytest.FixtureRequest) -> set[str]:
    """The names of the deploys that the test's options ask for."""
    options = parse([*request.param.split(), "--output", str(tmp_path)])
    return {
        f"{case.name}/{tool.name}"
        for cases in options.cases_by_tree()
        for case in cases
        for tool in options.tools_for(case)
    }


@pytest.mark.parametrize("measured", [""], indirect=True)
def test_slow_tools_are_left_out_with_many_files(measured: set[str]) -> None:
    assert "300/plain/20/first/django" in measured
    assert "3000/plain/20/first/django" not in measured


@pytest.mark.parametrize("measured", ["--slow"], indirect=True)
def test_slow_tools_are_measured_where_asked_for(measured: set[str]) -> None:
    assert "3000/plain/20/first/django" in measured


@pytest.mark.parametrize("measured", [""], indirect=True)
def test_tools_without_a_cache_have_no_warm_one(measured: set[str]) -> None:
    assert "300/plain/20/unchanged-warm/peer" in measured
    assert "300/plain/20/unchanged-warm/s5cmd" not in measured


@pytest.mark.parametrize("measured", ["--only */first/s5cmd --skip 3000/*"], indirect=True)
def test_patterns_choose_deploys(measured: set[str]) -> None:
    assert measured == {"300/plain/20/first/s5cmd", "300/manifest/20/first/s5cmd"}


@pytest.mark.parametrize("measured", ["--growth"], indirect=True)
def test_growth_is_measured_of_our_own_deploys(measured: set[str]) -> None:
    assert "30000/manifest/20/unchanged-cold/collectfasta" in measured
    assert {name.rpartition("/")[2] for name in measured} == {"collectfasta"}


@pytest.mark.parametrize("measured", [""], indirect=True)
def test_large_images_are_deployed_once_for_all_sizes(measured: set[str]) -> None:
    large = {name for name in measured if "/large-images/collectfasta" in name}
    assert large == {"300/manifest/20/large-images/collectfasta"}
