"""The report as people read it."""

from datetime import UTC, datetime, timedelta

from infra.backup.report import markdown, recovery_point
from infra.model.backup import BackupReport, StoredSnapshot
from infra.text import plain

NOW = datetime(2026, 11, 23, 12, 0, 30, tzinfo=UTC)
NEWEST, BEFORE = "20261123T120000Z", "20261123T110000Z"


def report(**more: object) -> BackupReport:
    stored = StoredSnapshot(
        id=NEWEST, created_at=NOW - timedelta(seconds=30), size=81_920, restic_id="c0ffee" * 8
    )
    made = BackupReport(
        site="cronova.dev",
        started_at=NOW,
        stored=(stored,),
        newest_verified=NEWEST,
        newest_size=81_920,
        compared_with=BEFORE,
        if_data_is_damaged=recovery_point(NEWEST, NOW),
        if_host_is_lost=recovery_point(BEFORE, NOW),
        repository="/backup/mesh",
        kept=7,
        sidecar_last_own=BEFORE,
    )
    return made.model_copy(update=more)


def test_it_tells_what_was_verified_and_both_recovery_points() -> None:
    text = markdown(report())
    assert text.startswith("# Backup of cronova.dev: done\n")
    assert "| Newest verified snapshot | 20261123T120000Z, 80 KiB |" in text
    assert "| Recovery point if data on the host is damaged | 20261123T120000Z, 30 s ago |" in text
    assert "| Recovery point if the host is lost | 20261123T110000Z, 60 min ago |" in text
    assert "| Repository | `/backup/mesh`, 7 snapshots |" in text
    assert "| 20261123T120000Z | 80 KiB | `c0ffeec0` |" in text
    assert "nothing since 20261123T110000Z" in text


def test_problems_come_first_and_the_title_says_failed() -> None:
    text = markdown(report(problems=("The container headscale-backup is exited.",)))
    assert text.startswith("# Backup of cronova.dev: failed\n")
    assert text.index("headscale-backup is exited") < text.index("Newest verified")


def test_what_changed_is_listed_and_bounded() -> None:
    text = markdown(report(changes=tuple(f"user u{n} appeared" for n in range(150))))
    assert "## Changed in the mesh since 20261123T110000Z" in text
    assert "- user u99 appeared\n- and 50 more" in text


def test_no_snapshot_anywhere_is_said_plainly() -> None:
    nothing = recovery_point(None, NOW)
    text = markdown(
        report(stored=(), newest_verified=None, newest_size=None, if_host_is_lost=nothing)
    )
    assert "| Recovery point if the host is lost | **none** |" in text
    assert "| Newest verified snapshot | none |" in text


def test_what_a_silent_host_has_is_unknown_and_not_none() -> None:
    text = markdown(report(if_data_is_damaged=None, sidecar_last_own=None))
    assert "if data on the host is damaged | unknown: the host gave no answer |" in text
    assert "| Newest that the host made by itself | unknown |" in text


def test_names_from_the_host_can_not_act_in_the_ui() -> None:
    hostile = "node ![x](http://evil.example/?q) <script>`|\x1b[31m\n# title appeared"
    text = markdown(report(changes=(hostile,)))
    (line,) = [line for line in text.splitlines() if line.startswith("- node")]
    assert not set(line) & set("[]<>`|#\x1b")


def test_plain_text_is_bounded_and_keeps_letters_of_any_language() -> None:
    assert plain("Küche: 10.0.0.1/8") == "Küche: 10.0.0.1/8"
    assert plain("a" * 700) == "a" * 600 + "…"
