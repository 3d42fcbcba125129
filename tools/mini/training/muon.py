"""The optimiser: Muon for the matrices inside the blocks, AdamW for the rest.

Jordan et al., 2024, kellerjordan.github.io/posts/muon: the momentum of a matrix is replaced by the
nearest orthogonal one (five Newton-Schulz steps), which needs about half the steps of AdamW here.
"""

from collections import defaultdict

import torch
from torch import Tensor, nn

_COEFFICIENTS = (3.4445, -4.7750, 2.0315)


def orthogonalise(matrices: Tensor) -> Tensor:
    """[n, rows, columns] -> matrices with all singular values near 1, computed in bfloat16."""
    tall = matrices.shape[1] > matrices.shape[2]
    x = (matrices.mT if tall else matrices).bfloat16()
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
    a, b, c = _COEFFICIENTS
    for _ in range(5):
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return (x.mT if tall else x).float()


class Muon(torch.optim.Optimizer):
    """Muon with Nesterov momentum and decoupled weight decay; matrices of one shape step together.

    A convolution counts as the matrix from its inputs to its outputs.
    """

    def __init__(self, matrices, lr: float, momentum: float = 0.95, weight_decay: float = 0.0):
        super().__init__(matrices, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self) -> None:
        """One update of every matrix that has a gradient."""
        for group in self.param_groups:
            by_shape = defaultdict(list)
            for matrix in group["params"]:
                if matrix.grad is not None:
                    by_shape[matrix.shape].append(matrix)
            for shape, members in by_shape.items():
                self._step_together(members, shape, group)

    def _step_together(self, members: list[Tensor], shape: torch.Size, group: dict) -> None:
        for matrix in members:
            if not self.state[matrix]:
                self.state[matrix]["momentum"] = torch.zeros_like(matrix)
        momenta = [self.state[matrix]["momentum"] for matrix in members]
        gradients = [matrix.grad for matrix in members]
        torch._foreach_lerp_(momenta, gradients, 1 - group["momentum"])
        ahead = torch._foreach_lerp(gradients, momenta, group["momentum"])
        updates = orthogonalise(torch.stack(ahead).flatten(2)).unflatten(2, shape[1:])
        torch._foreach_mul_(members, 1 - group["lr"] * group["weight_decay"])
        size = max(1.0, shape[0] / shape[1:].numel()) ** 0.5
        torch._foreach_add_(members, list(updates), alpha=-group["lr"] * size)


def make_optimisers(
    model: nn.Module, matrix_lr: float, other_lr: float, decay: float, rate_of
) -> list[torch.optim.Optimizer]:
    """Muon for the weights of blocks and patches; AdamW for embeddings, heads, norms and biases.

    `rate_of(name)` is a parameter's share of the rates.

    Pixels next to each other are alike, so plain gradients of the patch matrix mostly teach it flat
    colours; Muon's equal steps in all directions let it see the strokes of letters as soon.
    """
    matrices, plain, bare = defaultdict(list), defaultdict(list), defaultdict(list)
    for name, parameter in model.named_parameters():
        if parameter.ndim >= 2 and (".layers." in name or "patch_embedding" in name):
            matrices[rate_of(name)].append(parameter)
        elif parameter.ndim >= 2:
            plain[rate_of(name)].append(parameter)
        else:
            bare[rate_of(name)].append(parameter)

    def groups(members, lr, weight_decay):
        return [
            {"params": parameters, "lr": lr * rate, "weight_decay": weight_decay}
            for rate, parameters in members.items()
        ]

    return [
        Muon(groups(matrices, matrix_lr, decay), lr=matrix_lr),
        torch.optim.AdamW(
            groups(plain, other_lr, decay) + groups(bare, other_lr, 0.0),
            lr=other_lr,
            betas=(0.9, 0.98),
            eps=1e-8,
        ),
    ]
