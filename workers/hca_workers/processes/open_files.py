"""As many open files as the container may have: each connection is one.

A process starts with 1,024 of them where nobody says otherwise (systemd's soft limit, and since containerd 2 that of
containers), although it may have 524,288. Go and Node ask for the rest when they start; Python does not.
"""

import resource

MOST = 2**20
"""The kernel's own bound, fs.nr_open, by default; a hard limit may be none at all."""


def raise_limit() -> None:
    """Raise the soft limit of this process, and of those that it starts, to the hard one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST if hard == resource.RLIM_INFINITY else min(hard, MOST)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
