"""The tangent kernel by layers against PyTorch's vmap of jacrev: ``python -m benchmarks.ntk``."""

from __future__ import annotations

import torch
from tabulate import tabulate
from threadpoolctl import threadpool_limits
from torch import Tensor
from torch.func import functional_call, jacrev, vmap

from benchmarks.timing import compare
from mlcourse.ntk import RELU, Network, network_kernel, standard_network

# examples, and the sizes of the network: images of 8 x 8 pixels, ten classes
WORKLOADS = ((32, (64, 512, 10)), (128, (64, 512, 10)), (32, (64, 512, 512, 10)))


def as_module(net: Network) -> torch.nn.Module:
    """Return the same network built from PyTorch's layers."""
    layers: list[torch.nn.Module] = []
    for i, W in enumerate(net.weights):
        hidden = i < len(net.biases)
        layer = torch.nn.Linear(*W.shape, bias=hidden)
        with torch.no_grad():
            layer.weight.copy_(W.mT)
            if hidden:
                layer.bias.copy_(net.biases[i])
        layers += [layer, torch.nn.ReLU()] if hidden else [layer]
    return torch.nn.Sequential(*layers)


def kernel_of_jacobians(module: torch.nn.Module, X: Tensor) -> Tensor:
    """Return the kernel as PyTorch's tutorial does: the Jacobian of each example, then products of Jacobians."""
    parameters = {name: parameter.detach() for name, parameter in module.named_parameters()}

    def one(parameters: dict[str, Tensor], x: Tensor) -> Tensor:
        return functional_call(module, parameters, (x[None],))[0]  # (p,) -> (C,)

    jacobians = vmap(jacrev(one), (None, 0))(parameters, X)
    flat = [part.flatten(2) for part in jacobians.values()]  # each (n, C, numbers of the parameter)
    return sum(torch.einsum("icp,jdp->icjd", part, part) for part in flat)  # type: ignore[return-value]


def main() -> None:
    """Check that both sides agree, time them, and print one table."""
    rows = []
    generator = torch.Generator().manual_seed(0)
    torch.set_num_threads(1)
    with threadpool_limits(limits=1), torch.no_grad():
        for n, sizes in WORKLOADS:
            net = standard_network(sizes, generator, RELU, dtype=torch.float32)
            module = as_module(net)
            X = torch.rand(n, sizes[0], generator=generator)
            ours, peer = network_kernel(net, X), kernel_of_jacobians(module, X)
            gap = float((ours - peer).abs().max() / peer.abs().max())
            if gap > 1e-5:
                raise AssertionError(f"The two kernels differ by {gap:.1e} of the largest entry.")

            def by_layers(net: Network = net, X: Tensor = X) -> Tensor:
                return network_kernel(net, X)

            def by_jacobians(module: torch.nn.Module = module, X: Tensor = X) -> Tensor:
                return kernel_of_jacobians(module, X)

            times = compare(by_layers, by_jacobians, repeats=3)
            workload = f"n = {n}, layers {'-'.join(map(str, sizes))}"
            rows.append((workload, "vmap(jacrev)", f"{gap:.0e}", *times))
    heads = ["workload, float32", "peer", "difference", "ours, ms", "peer, ms", "ratio"]
    print(tabulate(rows, heads, floatfmt=("", "", "", ".1f", ".0f", ".4f")))


if __name__ == "__main__":
    main()
