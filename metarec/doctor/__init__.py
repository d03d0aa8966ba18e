"""`metarec doctor`: what works on this machine, and the cure of what does not.

Nothing here imports anything but Python's own library: whatever is missing or broken, the doctor must still work. Other
packages are imported in a process of its own, `metarec.doctor.probe`, whose end does no harm.
"""
