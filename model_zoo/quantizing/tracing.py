"""A net as a graph: batch norms folded into what comes before them, and activations rounded where int8 rounds them."""

from __future__ import annotations

import copy
import operator
from typing import Any

import torch
from torch import fx, nn
from torch.fx.passes.shape_prop import ShapeProp, TensorMetadata
from torch.nn.utils import fuse_conv_bn_eval

from edgerig.errors import ModelError
from model_zoo.quantizing.rounding import Rounded, RoundedConv2d, RoundedLinear

# What passes numbers on as they are: what went in rounded comes out rounded.
PASSING = (nn.Identity, nn.Dropout, nn.Flatten, nn.MaxPool2d)
PASSING_FUNCTIONS = frozenset({torch.flatten, torch.chunk, torch.transpose, operator.getitem, getattr, torch._assert})
PASSING_METHODS = frozenset(
    {"view", "reshape", "flatten", "size", "chunk", "transpose", "contiguous", "permute", "dim"}
)
CLIPPING = (nn.ReLU, nn.ReLU6)
CLIPPING_FUNCTIONS = frozenset({torch.relu, nn.functional.relu, nn.functional.relu6})
HINT = "Use the step 'quantize'."
SUMS = frozenset({operator.add, operator.iadd, torch.add})


class _Tracer(fx.Tracer):
    """Takes torch's own layers, and batch norms of any kind, as they are."""

    def is_leaf_module(self, m: Any, module_qualified_name: str) -> bool:
        return isinstance(m, nn.BatchNorm2d | nn.Conv2d | nn.Linear) or super().is_leaf_module(m, module_qualified_name)


def rounded(net: Any, size: tuple[int, ...]) -> Any:
    """Return a copy of a net in eval mode whose layers and activations are rounded; ranges are empty yet.

    Args:
        net: input [n, 3, height, width].
        size: height and width.

    Raises:
        ModelError: its layers cannot be followed, as its `forward` decides by what it is fed.
    """
    graph = _traced(_split(copy.deepcopy(net).eval()))
    _fold(graph)
    _replace_layers(graph)
    with torch.no_grad():
        ShapeProp(graph).propagate(torch.zeros(1, 3, *size))  # tells tensors from the sizes of tensors
    _round_activations(graph)
    graph.graph.lint()
    graph.recompile()
    return graph.eval()


def _traced(net: Any) -> Any:
    try:
        graph = _Tracer().trace(net)
        for node in graph.nodes:
            node.type = None  # an annotation that is text, as ours are, would spoil the pickle
        return fx.GraphModule(net, graph)
    except Exception as error:  # whatever a forward does with a stand-in for a tensor
        raise ModelError(f"the net cannot be made aware of int8: {str(error)[:300]}.", HINT) from error


def _split(net: Any) -> Any:
    """Divide batch norms that have their activation in them, as timm's do, into two."""
    for name, child in net.named_children():
        if isinstance(child, nn.BatchNorm2d) and type(child) is not nn.BatchNorm2d:
            plain = nn.BatchNorm2d(child.num_features, child.eps).eval()
            plain.load_state_dict(child.state_dict())
            setattr(net, name, nn.Sequential(plain, *(part for part in child.children())))
        else:
            _split(child)
    return net


def _fold(graph: Any) -> None:
    """Fold batch norms into the convolutions before them."""
    for node in list(graph.graph.nodes):
        norm, layer = _module(graph, node), _module(graph, node.args[0]) if node.args else None
        if isinstance(norm, nn.BatchNorm2d) and isinstance(layer, nn.Conv2d) and len(node.args[0].users) == 1:
            graph.set_submodule(node.args[0].target, fuse_conv_bn_eval(layer, norm))
            node.replace_all_uses_with(node.args[0])
            graph.graph.erase_node(node)
    graph.delete_all_unused_submodules()


def _replace_layers(graph: Any) -> None:
    """Give layers another forward, with the same weights and settings."""
    for name, layer in graph.named_modules():
        if isinstance(layer, nn.Linear):  # timm has one of its own, which is the same but for float16
            layer.__class__ = RoundedLinear
        elif type(layer) is nn.Conv2d:
            layer.__class__ = RoundedConv2d
        elif isinstance(layer, nn.Conv2d):
            raise ModelError(f"the net cannot be made aware of int8: {name} is a {type(layer).__name__}.", HINT)


def _round_activations(graph: Any) -> None:
    """Put what rounds behind each node whose numbers are new, and before layers whose input only passed others."""
    source: dict[Any, str] = {}  # node -> name of what rounded its numbers
    for node in list(graph.graph.nodes):
        if isinstance(_module(graph, node), RoundedConv2d | RoundedLinear):
            _feed(graph, node, source)
        if _is_new(graph, node):
            name = f"rounded_{len(set(source.values()))}"
            graph.add_submodule(name, Rounded())
            _insert(graph, node, name, source)
        elif node.op != "output":
            before = [source[entry] for entry in node.all_input_nodes if entry in source]
            source.update({node: before[0]} if before else {})


def _insert(graph: Any, node: Any, name: str, source: dict[Any, str]) -> None:
    with graph.graph.inserting_after(node):
        after = graph.graph.call_module(name, (node,))
    node.replace_all_uses_with(after, delete_user_cb=lambda user: user is not after)
    source[node] = source[after] = name


def _feed(graph: Any, node: Any, source: dict[Any, str]) -> None:
    """Let a layer know whose levels its input has; runtimes look for them just before it."""
    fed = node.args[0]
    name = source[fed]
    if not isinstance(_module(graph, fed), Rounded):
        with graph.graph.inserting_before(node):
            node.replace_input_with(fed, graph.graph.call_module(name, (fed,)))
    graph.get_submodule(node.target).source = (graph.get_submodule(name),)


def _is_new(graph: Any, node: Any) -> bool:
    """Whether a node makes numbers that int8 would round: not where a clipping comes next, and not the answer."""
    meta = node.meta.get("tensor_meta")
    if not isinstance(meta, TensorMetadata) or not meta.dtype.is_floating_point:
        return False
    if node.op == "get_attr" or _passes(graph, node):
        return False
    if all(user.op == "output" for user in node.users):
        return False
    followed = len(node.users) == 1 and _clips(graph, next(iter(node.users)))
    sums = isinstance(_module(graph, node), nn.Conv2d | nn.Linear) or node.target in SUMS
    return not (sums and followed)


def _passes(graph: Any, node: Any) -> bool:
    return (
        isinstance(_module(graph, node), PASSING)
        or (node.op == "call_function" and node.target in PASSING_FUNCTIONS)
        or (node.op == "call_method" and node.target in PASSING_METHODS)
    )


def _clips(graph: Any, node: Any) -> bool:
    return isinstance(_module(graph, node), CLIPPING) or (
        node.op == "call_function" and node.target in CLIPPING_FUNCTIONS
    )


def _module(graph: Any, node: Any) -> Any:
    """Return the module that a node calls, None where it calls none."""
    return graph.get_submodule(node.target) if isinstance(node, fx.Node) and node.op == "call_module" else None
