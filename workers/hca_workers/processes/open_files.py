"""The limit of open files: each connection is one.

A process starts with a soft limit of 1,024 (systemd's, and since containerd 2 that of containers), although its hard
limit may be 524,288. Go and Node raise the soft limit when they start. Python does not.
"""

import resource

MOST = 2**20
"""Default of the kernel's own bound, fs.nr_open; the hard limit may be infinite."""


def raise_limit() -> None:
    """Raise the soft limit of this process, and of those that it starts, to the hard one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    new = MOST if hard == resource.RLIM_INFINITY else min(hard, MOST)
    if soft != resource.RLIM_INFINITY and soft < new:
        resource.setrlimit(resource.RLIMIT_NOFILE, (new, hard))
