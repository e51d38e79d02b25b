"""Muon for many small matrices: those of one shape are orthogonalized together.

torch's own takes them one after another, which for a small network is thousands of tiny steps, and in bf16 on whatever
processor. Its numbers are kept: learning rates as for AdamW ("match_rms_adamw"), Nesterov momentum, five iterations.
"""

from collections import defaultdict

import torch

from nextkit.sampling.loading import best_dtype

COEFFICIENTS, ITERATIONS, LEAST = (3.4445, -4.7750, 2.0315), 5, 1e-7


class Muon(torch.optim.Optimizer):
    """Muon over the given matrices. lr, weight_decay, momentum: as of `torch.optim.Muon`."""

    def __init__(self, matrices, lr=1e-3, weight_decay=0.01, momentum=0.95):
        super().__init__(matrices, dict(lr=lr, weight_decay=weight_decay, momentum=momentum))

    @torch.no_grad()
    def step(self):
        """One step on every matrix that has a gradient."""
        for group in self.param_groups:
            alike = defaultdict(list)
            for matrix in group["params"]:
                if matrix.grad is not None:
                    alike[matrix.shape].append(matrix)
            for shape, matrices in alike.items():
                rate = group["lr"] * 0.2 * max(shape) ** 0.5
                updates = orthogonal(torch.stack(self._momenta(matrices, group["momentum"])))
                torch._foreach_mul_(matrices, 1 - group["lr"] * group["weight_decay"])
                torch._foreach_add_(matrices, list(updates.to(matrices[0].dtype)), alpha=-rate)

    def _momenta(self, matrices, momentum):
        """The gradients with Nesterov momentum; what is remembered of earlier ones is brought up to date."""
        grads = [matrix.grad for matrix in matrices]
        for matrix in matrices:
            if "momentum_buffer" not in self.state[matrix]:
                self.state[matrix]["momentum_buffer"] = torch.zeros_like(matrix)
        kept = [self.state[matrix]["momentum_buffer"] for matrix in matrices]
        torch._foreach_lerp_(kept, grads, 1 - momentum)
        return torch._foreach_lerp(grads, kept, momentum)


def orthogonal(stacked):
    """The nearest about orthogonal matrix to each of `stacked`, of shape (matrices, rows, columns)."""
    wide = stacked.shape[1] <= stacked.shape[2]
    x = (stacked if wide else stacked.mT).to(best_dtype(stacked.device))
    x = x / x.norm(dim=(1, 2), keepdim=True).clamp(min=LEAST)
    a, b, c = COEFFICIENTS
    for _ in range(ITERATIONS):
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x if wide else x.mT
