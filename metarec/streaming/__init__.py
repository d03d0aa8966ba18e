"""Users who change over time: each event is first scored by what is known until then, then learned from."""
