"""What a process and its children have used: processor time and memory, as the kernel counts them."""

import os
from pathlib import Path

TICK = os.sysconf("SC_CLK_TCK")


class Meter:
    """Reads the counters of a process and all its descendants."""

    def __init__(self, pid):
        self.pid = pid

    def members(self):
        found, waiting = [], [self.pid]
        while waiting:
            pid = waiting.pop()
            found.append(pid)
            try:
                tasks = list(Path(f"/proc/{pid}/task").iterdir())
            except OSError:
                continue
            for task in tasks:
                try:
                    waiting += [int(child) for child in (task / "children").read_text().split()]
                except OSError:
                    pass
        return found

    def spent(self):
        """Processor seconds, user and system, of all threads."""
        return sum(self.spent_by(pid) for pid in self.members())

    @staticmethod
    def spent_by(pid):
        try:
            # Nanoseconds, where the kernel tells them: the sum over threads of what they ran.
            return sum(int((task / "schedstat").read_text().split()[0]) for task in Path(f"/proc/{pid}/task").iterdir()) / 1e9
        except (OSError, IndexError):
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            return (int(fields[11]) + int(fields[12])) / TICK

    def resident(self):
        """Resident memory now, in KiB. Pages that processes share are counted for each."""
        return sum(self.status(pid, "VmRSS") for pid in self.members())

    def peak(self):
        """The most that was resident since `forget_peak`, in KiB."""
        return sum(self.status(pid, "VmHWM") for pid in self.members())

    def forget_peak(self):
        for pid in self.members():
            try:
                Path(f"/proc/{pid}/clear_refs").write_text("5")
            except OSError:
                # Without the right to, the peak is that of the whole run so far.
                pass

    @staticmethod
    def status(pid, name):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith(f"{name}:"):
                return int(line.split()[1])
        return 0
