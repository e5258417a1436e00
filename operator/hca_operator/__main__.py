"""`python -m hca_operator`."""

import sys

from hca_operator.cli import main

sys.exit(main())
