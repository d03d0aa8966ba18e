"""Makes ``python -m metarec`` the same as ``metarec``."""

from metarec.entry import main

main()
