"""One applier at a time on a machine, and what is known of one that was killed."""

from __future__ import annotations

from pathlib import Path

import pytest

from connectors.lock import ApplierBusy, exclusive


def test_a_second_applier_waits_and_is_told(tmp_path: Path) -> None:
    said: list[str] = []
    with (
        exclusive("cluster", directory=tmp_path),
        pytest.raises(ApplierBusy) as failure,
        exclusive("cluster", wait=0.2, waiting=lambda: said.append("waits"), directory=tmp_path),
    ):
        pytest.fail("two hold the same cluster")
    assert failure.value.exit_code == 3
    assert said == ["waits"]
    with exclusive("cluster", wait=0, directory=tmp_path):
        pass


def test_another_cluster_is_another_lock(tmp_path: Path) -> None:
    with exclusive("one", directory=tmp_path), exclusive("two", wait=0, directory=tmp_path):
        pass


def test_a_link_in_place_of_the_lock_is_not_followed(tmp_path: Path) -> None:
    with exclusive("cluster", directory=tmp_path):
        pass
    (lock,) = tmp_path.glob("*.lock")
    lock.unlink()
    lock.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="symbolic"), exclusive("cluster", directory=tmp_path):
        pass


def test_what_was_stopped_is_known_to_the_next_applier_until_it_is_resumed(tmp_path: Path) -> None:
    with exclusive("cluster", directory=tmp_path) as journal:
        journal.stopped("a")
        journal.stopped("b")
        journal.resumed("b")
    with exclusive("cluster", directory=tmp_path) as journal:
        assert "a" in journal
        assert "b" not in journal
        journal.resumed("a")
    assert not list(tmp_path.glob("*.stopped*"))


def test_a_journal_that_was_cut_short_is_taken_as_empty(tmp_path: Path) -> None:
    with exclusive("cluster", directory=tmp_path) as journal:
        journal.stopped("a")
    (file,) = tmp_path.glob("*.stopped")
    file.write_text('["a')
    with exclusive("cluster", directory=tmp_path) as journal:
        assert "a" not in journal
