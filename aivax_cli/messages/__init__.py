"""What a person reads, in their language: the English text of the sources is the key.

`language.py` is all that the program needs. `extract.py` (with `sources.py` and `values.py`) finds the texts
in the sources, for a test and for whoever translates.
"""
