"""Isolation: what the Linux kernel takes away from the sandbox's server, and so from every child it forks.

Applied once, in this order; what the kernel refuses is left out and not named by `Sandbox().isolation`:

1. `no new privileges`: no program that is run gains any; the out-of-memory killer takes children before the notebook.
2. namespaces, as root directly, else inside a user namespace of our own: `no network` (not even this machine),
   `own processes` (children see and signal no others, and all end with the server), no shared memory with others.
3. `read-only files`: every mount is read-only; `/tmp`, `/run` and the like are empty, so that no socket lies there;
   the scratch folder is a small file system in memory.
4. `only scratch writable`: Landlock, also where there are no namespaces: nothing outside the scratch folder can be
   written, made or removed, no TCP, no signal to a process outside.
5. `unprivileged user`: a server that runs as root makes each child nobody; any other gives up its capabilities.

macOS has none of these: there a program has a process of its own and the limits that every Unix knows, of which none
holds its memory. A container often refuses namespaces; Landlock then still holds. Standard library only; the numbers are
the kernel's.
"""

import contextlib
import ctypes
import functools
import os
import signal
import struct
import sys
import tempfile

NOBODY = 65534
PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_SET_CHILD_SUBREAPER, PR_SET_NO_NEW_PRIVS = 1, 4, 36, 38
NEW_MOUNTS, NEW_IPC, NEW_USER, NEW_PIDS, NEW_NET = 0x20000, 0x08000000, 0x10000000, 0x20000000, 0x40000000
NAMESPACES = ((NEW_NET | NEW_PIDS | NEW_IPC | NEW_MOUNTS), (NEW_NET | NEW_PIDS | NEW_IPC), NEW_NET)
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_REC, MS_PRIVATE = 1, 2, 4, 8, 0x4000, 1 << 18
SYS_CAPSET = dict(x86_64=126, aarch64=91)
SYS_MOUNT_SETATTR, SYS_CREATE_RULESET, SYS_ADD_RULE, SYS_RESTRICT_SELF = 442, 444, 445, 446
AT_FDCWD, AT_RECURSIVE = -100, 0x8000
SHARED = ("/tmp", "/var/tmp", "/dev/shm", "/run", "/mnt")  # the first that nothing needs becomes the scratch folder
# Landlock's rights to files: everything that writes, makes or removes, by the version that brought it.
WRITE_FILE, TRUNCATE = 1 << 1, 1 << 14
WRITING = {1: WRITE_FILE | sum(1 << bit for bit in range(4, 13)), 2: 1 << 13, 3: TRUNCATE, 5: 1 << 15}
TCP, SCOPES = {4: 0b11}, {6: 0b11}  # bind and connect; abstract sockets and signals


def isolate():
    """Apply all that the kernel grants, once, to this process: (names of what is in force, scratch folder).

    The process that returns may be a child of the one that called, which then waits for it: a process namespace
    begins with a child. Where there is one, that child is process 1 in it.
    """
    granted, scratch = ["process", "limits"], None
    if not sys.platform.startswith("linux"):
        return granted, tempfile.mkdtemp(prefix="nextkit-")
    libc = ctypes.CDLL(None, use_errno=True)
    _offer_to_the_oom_killer()
    if libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0:
        granted.append("no new privileges")
    spaces = _enter_namespaces(libc)
    if spaces & NEW_NET:
        granted.append("no network")
    if spaces & NEW_PIDS:
        _become_first_process(libc)
        granted.append("own processes")
    elif libc.prctl(PR_SET_CHILD_SUBREAPER, 1) == 0:
        granted.append("no escapees")
    if spaces & NEW_MOUNTS and (scratch := _make_read_only(libc)):
        granted.append("read-only files")
    scratch = scratch or tempfile.mkdtemp(prefix="nextkit-")
    if _landlock(libc, scratch):
        granted.append("only scratch writable")
    if _give_up_privileges(libc):
        granted.append("unprivileged user")
    libc.prctl(PR_SET_DUMPABLE, 0)  # children of the same user may not look into the server
    return granted, scratch


def become_nobody():
    """In a child: where the server runs as root, stop being root."""
    if os.geteuid() == 0 and _is_known(NOBODY):
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)


def owner():
    """The user whom the files of a child belong to."""
    return NOBODY if os.geteuid() == 0 and _is_known(NOBODY) else os.geteuid()


@functools.cache
def _is_known(user):
    """Whether the user exists in this user namespace."""
    with contextlib.suppress(OSError), open("/proc/self/uid_map") as file:
        ranges = [tuple(map(int, line.split())) for line in file]
        return any(first <= user < first + count for first, _, count in ranges)
    return True


def _offer_to_the_oom_killer():
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as file:
        file.write("1000")


def _enter_namespaces(libc):
    """Enter as many new namespaces as the kernel grants; returns their flags."""
    for flags in NAMESPACES:
        if os.geteuid() == 0 and libc.unshare(flags) == 0:
            return flags
    user, group = os.geteuid(), os.getegid()
    for flags in NAMESPACES:
        if libc.unshare(NEW_USER | flags) == 0:
            _map_users(user, group)
            return flags
    return 0


def _map_users(user, group):
    """In a new user namespace: everyone stays who they are, or at least we do where that is all that is allowed."""
    for name, mapping in (("uid_map", "0 0 65536"), ("uid_map", f"{user} {user} 1"), ("setgroups", "deny")):
        with contextlib.suppress(OSError), open(f"/proc/self/{name}", "w") as file:
            file.write(mapping)
    for mapping in ("0 0 65536", f"{group} {group} 1"):
        with contextlib.suppress(OSError), open("/proc/self/gid_map", "w") as file:
            file.write(mapping)


def _become_first_process(libc):
    """Go on as process 1 of the new namespace; the process that called waits, and passes its end on."""
    child = os.fork()
    if child:
        os.closerange(0, 3)  # the streams are the child's now
        os._exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) & 0xFF)
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def _make_read_only(libc):
    """Make every mount read-only for us, and shared folders empty; returns the one that is writable, None if refused."""
    if libc.mount(b"none", b"/", None, MS_REC | MS_PRIVATE, None) != 0:
        return None
    read_only = struct.pack("QQQQ", MS_RDONLY, 0, 0, 0)
    if libc.syscall(SYS_MOUNT_SETATTR, AT_FDCWD, b"/", AT_RECURSIVE, read_only, len(read_only)) != 0:
        return None
    scratch = None
    for folder in filter(_is_spare, SHARED):
        flags, options = (MS_RDONLY, b"size=4k") if scratch else (0, b"size=64m,nr_inodes=16k,mode=700")
        if libc.mount(b"tmpfs", folder.encode(), b"tmpfs", MS_NOSUID | MS_NODEV | flags, options) == 0:
            scratch = scratch or folder
    libc.mount(b"proc", b"/proc", b"proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, None)
    return scratch


def _is_spare(folder):
    """Whether nothing that Python or this package needs lies in the folder."""
    needed = (sys.prefix, sys.base_prefix, os.path.dirname(os.path.dirname(__file__)), *sys.path)
    inside = os.path.realpath(folder) + "/"
    return os.path.isdir(folder) and not any(os.path.realpath(path).startswith(inside) for path in needed if path)


def _landlock(libc, scratch):
    """Forbid this process and its children to write outside `scratch`; returns whether the kernel does that."""
    version = libc.syscall(SYS_CREATE_RULESET, None, 0, 1)
    if version < 1:
        return False
    writing, tcp, scopes = (_known(table, version) for table in (WRITING, TCP, SCOPES))
    size = 8 if version < 4 else 16 if version < 6 else 24
    rules = libc.syscall(SYS_CREATE_RULESET, struct.pack("QQQ", writing, tcp, scopes)[:size], size, 0)
    if rules < 0:
        return False
    for path, rights in ((scratch, writing), (os.devnull, writing & (WRITE_FILE | TRUNCATE))):
        descriptor = os.open(path, os.O_PATH)
        libc.syscall(SYS_ADD_RULE, rules, 1, struct.pack("=Qi", rights, descriptor), 0)
        os.close(descriptor)
    done = libc.syscall(SYS_RESTRICT_SELF, rules, 0) == 0
    os.close(rules)
    return done


def _known(table, version):
    return sum(rights for since, rights in table.items() if since <= version)


def _give_up_privileges(libc):
    """Whether children will have none: root's become nobody, and in a user namespace all capabilities are dropped."""
    if owner() != os.geteuid():
        return True
    number = SYS_CAPSET.get(os.uname().machine)
    header, nothing = struct.pack("Ii", 0x20080522, 0), bytes(24)
    return number is not None and libc.syscall(number, header, nothing) == 0
