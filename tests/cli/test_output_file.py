"""A file that a person names gets its content, and nothing else about it changes."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from intelgraph.model.output_file import check_writable, whole_file
from tests.machine import WAIT_S


def write(path: Path, content: bytes = b"new") -> None:
    check_writable(path)
    with whole_file(path) as file:
        file.write(content)


def test_a_new_file_appears_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "out"
    with whole_file(path) as file:
        file.write(b"new")
        file.flush()
        assert not path.exists()
        (draft,) = tmp_path.iterdir()
        assert stat.S_IMODE(draft.stat().st_mode) == 0o600
    assert path.read_bytes() == b"new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~_umask()
    assert [one.name for one in tmp_path.iterdir()] == ["out"]


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_an_error_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "out"
    path.write_bytes(b"before")
    with pytest.raises(ZeroDivisionError), whole_file(path) as file:
        file.write(b"half")
        raise ZeroDivisionError
    assert path.read_bytes() == b"before"
    assert [one.name for one in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o755])
def test_a_files_mode_stays(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "out"
    path.write_bytes(b"a longer text than the new one")
    path.chmod(mode)
    write(path)
    assert (path.read_bytes(), stat.S_IMODE(path.stat().st_mode)) == (b"new", mode)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_a_files_owner_stays(tmp_path: Path) -> None:
    path = tmp_path / "out"
    path.write_bytes(b"before")
    os.chown(path, 12345, 23456)
    write(path)
    assert (path.stat().st_uid, path.stat().st_gid, path.read_bytes()) == (12345, 23456, b"new")


def _set(path: Path, attributes: dict[str, bytes]) -> None:
    try:
        for name, value in attributes.items():
            os.setxattr(path, name, value)
    except OSError as error:
        pytest.skip(f"this file system has no extended attributes: {error}")


@pytest.mark.skipif(not hasattr(os, "setxattr"), reason="this system has no extended attributes")
def test_a_files_extended_attributes_stay(tmp_path: Path) -> None:
    path = tmp_path / "out"
    path.write_bytes(b"before")
    path.chmod(0o640)
    attributes = {"user.origin": b"https://example.org/", "user.empty": b"", "user.bytes": bytes(range(256))}
    _set(path, attributes)
    before = path.stat().st_ino
    write(path)
    assert {name: os.getxattr(path, name) for name in os.listxattr(path)} == attributes
    assert (path.read_bytes(), stat.S_IMODE(path.stat().st_mode)) == (b"new", 0o640)
    assert path.stat().st_ino != before, "it was not replaced whole"


@pytest.mark.skipif(not hasattr(os, "setxattr"), reason="this system has no extended attributes")
def test_an_attribute_that_the_directory_gives_to_new_files_is_not_added(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "out"
    path.write_bytes(b"before")
    _set(path, {"user.origin": b"x"})
    made = os.open

    def inheriting(name: str | Path, *given: int) -> int:
        descriptor = made(name, *given)
        if str(name).endswith(".part"):
            os.setxattr(descriptor, "user.inherited", b"y")
        return descriptor

    monkeypatch.setattr(os, "open", inheriting)
    write(path)
    assert (path.read_bytes(), os.listxattr(path)) == (b"new", ["user.origin"])


@pytest.mark.skipif(not hasattr(os, "setxattr"), reason="this system has no extended attributes")
def test_a_file_whose_attribute_no_other_may_have_is_written_in_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "out"
    path.write_bytes(b"before, and longer")
    _set(path, {"user.origin": b"x"})
    before = path.stat().st_ino

    def refuse(*_: object) -> None:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "setxattr", refuse)
    write(path)
    assert (path.read_bytes(), path.stat().st_ino, os.getxattr(path, "user.origin")) == (b"new", before, b"x")


@pytest.mark.parametrize("number", ["99999999999999999999", "2147483648", "9" * 4_500])
def test_a_descriptor_that_cannot_be_is_an_error_of_the_system(number: str) -> None:
    for place in (f"/dev/fd/{number}", f"/proc/self/fd/{number}"):
        with pytest.raises(OSError, match=os.strerror(errno.EBADF)):
            write(Path(place))


@pytest.mark.parametrize("exists", [True, False])
def test_a_link_leads_where_it_did(tmp_path: Path, exists: bool) -> None:
    (tmp_path / "there").mkdir()
    target, link, chain = tmp_path / "there" / "out", tmp_path / "link", tmp_path / "chain"
    if exists:
        target.write_bytes(b"before")
    link.symlink_to("there/out")
    chain.symlink_to(link)
    write(chain)
    assert link.readlink() == Path("there/out")
    assert chain.is_symlink()
    assert target.read_bytes() == b"new"


def test_a_link_that_goes_up_behind_another_leads_where_the_kernel_finds_it(tmp_path: Path) -> None:
    there, here = tmp_path / "there", tmp_path / "here"
    (there / "dir").mkdir(parents=True)
    here.mkdir()
    (here / "sub").symlink_to(there / "dir")
    (here / "link").symlink_to("sub/../out")
    (there / "out").write_bytes(b"old")
    (here / "out").write_bytes(b"somebody else's")
    write(here / "link", b"new")
    assert ((there / "out").read_bytes(), (here / "out").read_bytes()) == (b"new", b"somebody else's")


def test_a_second_name_of_a_file_sees_the_new_content(tmp_path: Path) -> None:
    path, other = tmp_path / "out", tmp_path / "other"
    path.write_bytes(b"a longer text than the new one")
    os.link(path, other)
    write(path)
    assert (other.read_bytes(), path.stat().st_nlink) == (b"new", 2)


def test_a_pipe_is_written_through(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    got: list[bytes] = []
    reader = threading.Thread(target=lambda: got.append(path.read_bytes()))
    reader.start()
    write(path)
    reader.join(WAIT_S)
    assert got == [b"new"]
    assert stat.S_ISFIFO(path.lstat().st_mode)


def test_a_device_stays_one() -> None:
    before = Path("/dev/null").stat()
    write(Path("/dev/null"))
    assert Path("/dev/null").stat().st_rdev == before.st_rdev
    assert stat.S_ISCHR(Path("/dev/null").stat().st_mode)


@pytest.mark.parametrize("name", ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1", "link"])
def test_standard_output_is_written_through_wherever_it_goes(tmp_path: Path, name: str) -> None:
    (tmp_path / "link").symlink_to("/dev/stdout")
    script = (
        "import sys; from pathlib import Path; from intelgraph.model.output_file import whole_file\n"
        "with whole_file(Path(sys.argv[1])) as file: file.write(b'new')"
    )
    for kind in ("file", "pipe"):
        out = tmp_path / "out"
        out.write_bytes(b"before,")
        with out.open("ab") as appended:
            done = subprocess.run(
                [sys.executable, "-c", script, name],
                cwd=tmp_path,
                stdout=appended if kind == "file" else subprocess.PIPE,
                check=True,
                timeout=60,
            )
        assert (done.stdout or out.read_bytes()) == (b"new" if kind == "pipe" else b"before,new")
    assert Path("/dev/stdout").is_symlink()


def test_what_cannot_be_written_is_said_before(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "file").write_bytes(b"")
    for path in (tmp_path, tmp_path / "absent" / "out", tmp_path / "file" / "out", tmp_path / "loop"):
        with pytest.raises(OSError, match=r"."):
            check_writable(path)


def test_a_name_as_long_as_names_may_be_is_written(tmp_path: Path) -> None:
    path = tmp_path / ("x" * 255)
    write(path)
    assert path.read_bytes() == b"new"
