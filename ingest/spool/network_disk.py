"""Says whether a folder is on a network file system, where SQLite's write-ahead log is not safe.

The log needs locks that every process sees, and writes that stay in their order: https://www.sqlite.org/wal.html#overview
("WAL does not work over a network filesystem").
"""

import re
from pathlib import Path, PurePath

_MOUNTS = Path("/proc/self/mountinfo")
_UNSAFE = frozenset(
    {
        "9p",
        "afs",
        "ceph",
        "cifs",
        "coda",
        "gfs2",
        "glusterfs",
        "lustre",
        "ncpfs",
        "nfs",
        "nfs4",
        "ocfs2",
        "smb3",
        "smbfs",
    }
)
# A file system in a program of its own; others of that kind are local.
_UNSAFE_PROGRAMS = frozenset(
    {"ceph", "cifs", "davfs", "davfs2", "gcsfuse", "glusterfs", "goofys", "juicefs", "rclone", "s3fs", "sshfs"}
)
_ESCAPED = re.compile(r"\\([0-7]{3})")


def network_file_system(path: PurePath, mountinfo: str) -> str | None:
    """Returns the type of the network file system on which an absolute path is; None where it is on a local one.

    `mountinfo` is the text of /proc/self/mountinfo: https://man7.org/linux/man-pages/man5/proc_pid_mountinfo.5.html
    """
    found, depth = "", -1
    for line in mountinfo.splitlines():
        mount, _, of_type = line.partition(" - ")
        fields, types = mount.split(" "), of_type.split(" ")
        if len(fields) < 5:
            continue
        place = PurePath(_ESCAPED.sub(lambda match: chr(int(match[1], 8)), fields[4]))
        # Of two mounts at one place, the later one hides the earlier one.
        if path.is_relative_to(place) and len(place.parts) >= depth:
            found, depth = types[0], len(place.parts)
    program = found.removeprefix("fuse.")
    return found if found in _UNSAFE or (program != found and program in _UNSAFE_PROGRAMS) else None


def network_file_system_of(folder: Path) -> str | None:
    """Returns what `network_file_system` says of a folder of this machine; None where the kernel does not say."""
    try:
        mountinfo = _MOUNTS.read_text(encoding="utf-8", errors="surrogateescape")
        return network_file_system(folder.resolve(), mountinfo)
    except OSError:
        return None
