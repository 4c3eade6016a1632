"""The spool on a network file system is seen, by what the kernel says of its mounts."""

from pathlib import Path, PurePath

import pytest

from ingest.spool.network_disk import network_file_system, network_file_system_of

MOUNTINFO = r"""
22 27 0:21 / /proc rw,relatime - proc proc rw
27 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
30 27 0:40 / /srv/spool rw,relatime shared:7 master:2 - nfs4 filer:/export rw,vers=4.2,addr=192.0.2.7
31 27 0:41 / /srv/spool2 rw - tmpfs tmpfs rw
32 30 8:2 / /srv/spool/local rw,relatime - xfs /dev/sdb1 rw
33 27 0:42 / /mnt/with\040space rw - cifs //filer/share rw
34 27 0:43 / /mnt/ssh rw,nosuid - fuse.sshfs shop@host: rw
35 27 0:44 / /mnt/ntfs rw,nosuid - fuseblk /dev/sdc1 rw
36 27 0:45 / /mnt/overlay rw - fuse.fuse-overlayfs overlay rw
37 27 0:46 / /mnt/plan9 rw - 9p hostshare rw
38 27 0:47 / /mnt/windows rw - smb3 //filer/other rw
39 27 0:48 / /mnt/hidden rw - nfs filer:/old rw
40 27 8:3 / /mnt/hidden rw - ext4 /dev/sdd1 rw
a line that is none
"""


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("/var/lib/dropstream/spool", None),
        ("/srv/spool", "nfs4"),
        ("/srv/spool/deep/below", "nfs4"),
        ("/srv/spool2/x", None),
        ("/srv/spool/local/x", None),
        ("/mnt/with space/spool", "cifs"),
        ("/mnt/ssh/spool", "fuse.sshfs"),
        ("/mnt/ntfs/spool", None),
        ("/mnt/overlay", None),
        ("/mnt/plan9", "9p"),
        ("/mnt/windows/spool", "smb3"),
        ("/mnt/hidden/spool", None),
    ],
)
def test_the_mount_that_counts_is_the_nearest_and_latest(path: str, found: str | None) -> None:
    """By whole names of folders, with spaces, and through other mounts."""
    assert network_file_system(PurePath(path), MOUNTINFO) == found


def test_a_kernel_that_says_nothing_raises_no_alarm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not every system has the file; and a folder that is made later is judged by where it will be."""
    monkeypatch.setattr("ingest.spool.network_disk._MOUNTS", tmp_path / "mountinfo")
    assert network_file_system_of(tmp_path / "spool") is None
    (tmp_path / "mountinfo").write_text(f"30 27 0:40 / {tmp_path} rw - nfs filer:/export rw\n")
    assert network_file_system_of(tmp_path / "not" / "yet") == "nfs"
