"""Training: batches, losses, optimiser, loop."""
