"""The vocabulary every other package speaks: types, events, ports, errors. No I/O."""
