"""Makes ``python -m metarec`` the same as ``metarec``."""

from metarec.cli import main

main()
