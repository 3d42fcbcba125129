"""The reference's side of `chiasm verify`: transformers, in a process of its own. Needs torch and
transformers, and nothing of Chiasm: it may run in another Python than Chiasm does."""
