"""What is known of a run, however far it has come."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.files.storage import InMemoryStorage

from collectfasta.errors import CollectfastaError
from collectfasta.record import Record
from collectfasta.strategies import Strategy


class Nameless(Strategy[InMemoryStorage]):
    """What its target is called can't be told, as where settings name no bucket."""

    def should_copy_file(self, path: str, prefixed_path: str, local_storage: Any) -> bool:
        return True

    @property
    def target_name(self) -> str:
        raise CollectfastaError("It names no bucket.")


@pytest.mark.parametrize("what", ["copied", "unmodified", "failed", "pending", "deploys"])
def test_a_run_that_has_not_begun_has_done_nothing(what: str) -> None:
    assert [*getattr(Record(), what)] == []


def test_a_run_that_has_not_begun_has_made_no_request_that_is_known_of() -> None:
    assert Record().requests is None


def test_a_run_without_a_strategy_has_no_target() -> None:
    assert Record().target is None


def test_a_target_that_has_no_name_is_none() -> None:
    assert Record(strategy=Nameless(InMemoryStorage())).target is None


def test_before_a_deploy_a_name_is_its_key() -> None:
    assert Record().key("a.css") == "a.css"
