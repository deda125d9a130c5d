"""Looking at processes of a trial from outside: children, memory."""

from pathlib import Path

_KIB_PER_MIB = 1024


def children_of(pid: int) -> list[int]:
    """Return the pids of a process's children, oldest first; none if it is gone."""
    try:
        text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    except OSError:
        return []
    return [int(word) for word in text.split()]


def tree_of(pid: int) -> list[int]:
    """Return a process and all its descendants."""
    found = [pid]
    for child in children_of(pid):
        found += tree_of(child)
    return found


def resident_mib(pid: int) -> float | None:
    """Return the resident memory of a process in MiB; None if it is gone."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return None
    for line in lines:
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / _KIB_PER_MIB
    return None  # a zombie has none
