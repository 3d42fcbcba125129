"""The network: a SigLIP-style vision tower, pixel shuffle and a llama decoder, in plain PyTorch.

Tensor names and meaning are those of transformers' `smolvlm` family, so a state dict is an export.
"""
