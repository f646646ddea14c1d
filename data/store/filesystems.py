"""Which file system a path lies on; SQLite's locks cannot be trusted on one that is shared by a network."""

from pathlib import Path

NETWORK = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "smbfs", "ncpfs", "afs", "ceph", "lustre", "beegfs", "gpfs", "ocfs2", "gfs2"}
    | {"glusterfs", "davfs", "fuse.sshfs", "fuse.glusterfs", "fuse.ceph", "fuse.rclone", "fuse.s3fs"}
    | {"fuse.davfs", "fuse.juicefs"}
)


def network_file_system(path: Path) -> str | None:
    """The network file system's type, if `path` lies on one as far as the kernel's mount table tells."""
    try:
        mounts = Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:  # not Linux: nothing to ask
        return None
    kind = type_of_mount(path.resolve(), mounts)
    return kind if kind in NETWORK else None


def type_of_mount(path: Path, mountinfo: str) -> str | None:
    """Type of the mount that holds `path`, from the text of /proc/self/mountinfo; the last mounted wins."""
    best: tuple[int, str | None] = (-1, None)
    for line in mountinfo.splitlines():
        before, dash, after = line.partition(" - ")
        if not dash:
            continue
        place = Path(_unescaped(before.split(" ")[4]))
        if path.is_relative_to(place) and len(place.parts) >= best[0]:
            best = (len(place.parts), after.split(" ")[0])
    return best[1]


def _unescaped(name: str) -> str:
    for code, char in ((r"\040", " "), (r"\011", "\t"), (r"\012", "\n"), (r"\134", "\\")):
        name = name.replace(code, char)
    return name
