"""Chiasm and its peers, each behind the same few calls in a process of its own. See bench/README.md."""
