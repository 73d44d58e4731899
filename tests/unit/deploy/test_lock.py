from deploy.setup import lock


def test_the_command_is_the_one_that_made_the_committed_lock_files():
    assert " ".join(lock.command("uv", "local", [])) == (
        "uv pip compile pyproject.toml --extra local --quiet --universal --generate-hashes --no-emit-index-url "
        "--custom-compile-command ./warren lock --prerelease=if-necessary-or-explicit -o requirements/local.lock"
    )


def test_each_lock_file_holds_the_one_before():
    assert lock.LOCKS["runtime"] == ()
    assert set(lock.LOCKS["local"]) < set(lock.LOCKS["test"]) > set(lock.LOCKS["telemetry"])


def test_no_lock_file_names_a_registry():
    for name in lock.LOCKS:
        text = (lock.ROOT / "requirements" / f"{name}.lock").read_text()
        assert "://" not in text
        assert "index-url" not in text


def test_every_locked_version_has_hashes():
    for name in lock.LOCKS:
        text = (lock.ROOT / "requirements" / f"{name}.lock").read_text().replace("\\\n", "")
        pins = [line for line in text.splitlines() if "==" in line and not line.lstrip().startswith("#")]
        assert len(pins) >= 15
        assert all("--hash=sha256:" in pin for pin in pins)
