from deploy.processes.log_files import LogFollower, last_lines

WARNING = "2026-01-02T03:04:05.678Z WARNING mempool: odd"
JSON_ERROR = '{"time": "2026-01-02T03:04:05.678Z", "level": "ERROR", "message": "worse"}'
INFO = "2026-01-02T03:04:05.678Z INFO mempool: block accepted text=WARNING"


def append(path, text):
    with path.open("a") as file:
        file.write(text)


def test_only_what_is_added_is_followed(tmp_path):
    log = tmp_path / "log"
    append(log, "before\n")
    follower = LogFollower(log)
    append(log, "one\ntwo\n")
    assert follower.new_lines() == ["one", "two"]
    assert follower.new_lines() == []


def test_a_line_is_passed_on_once_it_is_whole(tmp_path):
    log = tmp_path / "log"
    follower = LogFollower(log)
    append(log, "first ha")
    assert follower.new_lines() == []
    append(log, "lf\n")
    assert follower.new_lines() == ["first half"]


def test_warnings_are_told_from_other_lines_in_both_formats(tmp_path):
    log = tmp_path / "log"
    follower = LogFollower(log)
    append(log, "\n".join([INFO, WARNING, JSON_ERROR, ""]))
    assert follower.new_warnings() == [WARNING, JSON_ERROR]


def test_a_large_file_is_moved_aside_and_followed_from_its_new_start(tmp_path):
    log = tmp_path / "log"
    follower = LogFollower(log)
    append(log, "x" * 100 + "\n")
    follower.rotate_if_large(max_bytes=50)
    assert log.read_bytes() == b""
    assert (tmp_path / "log.1").read_text() == "x" * 100 + "\n"
    append(log, "after\n")
    assert follower.new_lines() == ["after"]


def test_a_file_that_is_not_large_stays(tmp_path):
    log = tmp_path / "log"
    append(log, "x\n")
    LogFollower(log).rotate_if_large(max_bytes=50)
    assert log.read_text() == "x\n"


def test_the_end_of_a_log_is_quoted_indented(tmp_path):
    log = tmp_path / "log"
    append(log, "1\n2\n3\n")
    assert last_lines(log, 2) == "    2\n    3"
    assert last_lines(tmp_path / "none", 2) == ""
