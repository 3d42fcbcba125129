"""Training of chiasm-mini, the small vision-language model that ships with Chiasm."""
