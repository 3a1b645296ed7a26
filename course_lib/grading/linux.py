"""What Linux has to lock a process in: namespaces with a file system of their own, Landlock, identities without rights.

It stands alone, since it also runs where the course cannot be read. Nothing here needs root; where the kernel or a
container refuses a step, OSError says so, and the caller makes do with what is left.
"""

import contextlib
import ctypes
import os
import struct

# Flags of mount(2), unshare(2), prctl(2) and landlock(7), which Python does not name.
RDONLY, NOSUID, NODEV, NOEXEC, REMOUNT, BIND, REC, PRIVATE = 1, 2, 4, 8, 32, 4096, 16384, 1 << 18
NEWNS, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET = 0x20000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000
DETACH, PDEATHSIG, NO_NEW_PRIVS, SIGKILL = 2, 1, 38, 9
PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}
LIBRARIES = ("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/etc/ld.so.cache")
DEVICES = ("/dev/null", "/dev/zero", "/dev/urandom")
SCRATCH = "size=64m,nr_inodes=4096,mode=755"  # the throw-away file system

_libc = ctypes.CDLL(None, use_errno=True)


def _call(name: str, *arguments) -> int:
    known = {str: os.fsencode, int: ctypes.c_long}
    done = getattr(_libc, name)(*(known.get(type(a), lambda a: a)(a) for a in arguments))
    if done < 0:
        raise OSError(ctypes.get_errno(), f"{name}: {os.strerror(ctypes.get_errno())}")
    return done


def _mount(source: str | None, target: str, kind: str | None, flags: int, options: str | None = None) -> None:
    _call("mount", source, target, kind, flags, options)


def new_namespaces() -> None:
    """No network, no sight of other processes (from the next fork on), mounts of its own."""
    uid, gid = os.geteuid(), os.getegid()
    flags = NEWNS | NEWUTS | NEWIPC | NEWPID | NEWNET
    _call("unshare", flags | (NEWUSER if uid else 0))
    if not uid:
        return
    for name, text in (("setgroups", "deny"), ("uid_map", f"{uid} {uid} 1"), ("gid_map", f"{gid} {gid} 1")):
        with open(f"/proc/self/{name}", "w") as f:
            f.write(text)


def new_root(at: str, readable: list[str], hidden: list[str]) -> None:
    """A file system of nothing but `readable` (read only), some devices and an empty /tmp. `at` is any empty folder.

    What is `hidden` stays so even where it lies inside something readable.
    """
    readable = [p for p in {*LIBRARIES, *readable} if os.path.exists(p)]
    _mount(None, "/", None, REC | PRIVATE)
    _mount("tmpfs", at, "tmpfs", NOSUID | NODEV, SCRATCH)
    inner = f"{at}/r"
    os.mkdir(inner)
    os.mkdir(f"{inner}/tmp")
    os.chmod(f"{inner}/tmp", 0o1777)
    for path in sorted([*readable, *hidden], key=lambda p: p.count("/")):  # what lies inside another comes after it
        target = inner + path
        if path in hidden:
            if os.path.isdir(target):
                _mount("tmpfs", target, "tmpfs", NOSUID | NODEV, SCRATCH)
        elif not os.path.exists(target):
            _show(path, target)
    for device in DEVICES:
        _show(device, inner + device)
    os.chdir(at)
    if os.uname().machine not in PIVOT_ROOT:
        raise OSError(f"pivot_root: its number on {os.uname().machine} is not known")
    _call("syscall", PIVOT_ROOT[os.uname().machine], ".", ".")
    _call("umount2", ".", DETACH)
    os.chroot("/r")  # a process in a chroot can make no user namespace, in which it would be root again
    os.chdir("/tmp")


def _show(path: str, target: str) -> None:
    os.makedirs(os.path.dirname(target), exist_ok=True)
    if os.path.isdir(path):
        os.mkdir(target)
    else:
        open(target, "w").close()
    has = os.statvfs(path).f_flag & (NOSUID | NODEV | NOEXEC)  # an unprivileged user may not take these away
    try:
        _mount(path, target, None, BIND)
    except OSError:  # another file system is mounted inside it
        _mount(path, target, None, BIND | REC)
    if not path.startswith("/dev/"):
        _mount(None, target, None, BIND | REMOUNT | RDONLY | NOSUID | has)


def landlock(readable: list[str], writable: str) -> bool:
    """Where there are no namespaces: lets this process reach no other files, nor TCP. True: TCP is cut, too."""
    abi = _call("syscall", 444, None, 0, 1)
    everything = (1 << (13 + (abi >= 2) + (abi >= 3) + (abi >= 5))) - 1
    read, plain_file = 0b1101, 0b111 | (1 << 14 if abi >= 3 else 0)  # execute, read a file, list a folder
    tcp, scoped = 0b11 if abi >= 4 else 0, 0b11 if abi >= 6 else 0
    size = 8 + 8 * (abi >= 4) + 8 * (abi >= 6)
    rules = struct.pack("QQQ", everything, tcp, scoped)
    ruleset = _call("syscall", 444, rules, size, 0)
    allowed = [(p, read) for p in (*LIBRARIES, *readable)] + [(writable, everything)] + [(p, 0b110) for p in DEVICES]
    for path, access in allowed:
        if os.path.exists(path):
            fd = os.open(path, os.O_PATH)
            access &= everything if os.path.isdir(path) else plain_file
            _call("syscall", 445, ruleset, 1, struct.pack("=Qi", access, fd), 0)
            os.close(fd)
    _call("prctl", NO_NEW_PRIVS, 1, 0, 0, 0)
    _call("syscall", 446, ruleset, 0)
    os.close(ruleset)
    return bool(tcp)


def nobody(identity: int) -> None:
    """Gives up every right: as root, for an identity of its own, so that its processes can be counted."""
    if os.geteuid() == 0:
        os.setgroups([])
        try:
            os.setresgid(identity, identity, identity)
            os.setresuid(identity, identity, identity)
        except OSError:  # a container may know small numbers only
            os.setresgid(65534, 65534, 65534)
            os.setresuid(65534, 65534, 65534)
    _call("capset", struct.pack("=Ii", 0x20080522, 0), bytes(24))
    _call("prctl", NO_NEW_PRIVS, 1, 0, 0, 0)
    _call("prctl", PDEATHSIG, SIGKILL, 0, 0, 0)


def tasks_of_this_user() -> int:
    """Its processes and threads: what a limit on their number counts from where an identity is shared."""
    total = 0
    for entry in os.listdir("/proc"):
        with contextlib.suppress(OSError, StopIteration):
            if entry.isdigit() and os.stat(f"/proc/{entry}").st_uid == os.geteuid():
                total += len(os.listdir(f"/proc/{entry}/task"))
    return total
