"""Texts to vectors, on this machine: the port, and multilingual-e5-small on onnxruntime."""
