"""Losses of the heads: of matched masks, and how the losses of parts come together."""

from typing import Any, Callable, Dict, List, Optional, TypeVar

from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from knet.errors import InputError

T = TypeVar('T')


def mask_losses(
    logits: Tensor,
    masks: Tensor,
    loss_mask: nn.Module,
    loss_dice: nn.Module,
    labelled: Optional[Tensor] = None,
) -> Dict[str, Tensor]:
    """`loss_mask` and `loss_dice` of matched masks; 0 with a graph where nothing is matched.

    Args:
        logits: (P, h, w), the matched kernels of all images.
        masks: (P, h, w), their ground truth, 0..1.
        labelled: (P, h, w), bool, the pixels that count; `masks` are 0 elsewhere. None: all.
    """
    if not len(logits):
        return dict(loss_mask=logits.sum(), loss_dice=logits.sum())
    count = None
    if labelled is not None:
        logits = logits.masked_fill(~labelled, -1e4)  # probability and losses are exactly 0
        count = labelled.sum()
    return dict(
        loss_mask=loss_mask(logits, masks, avg_factor=count), loss_dice=loss_dice(logits, masks)
    )


def recomputed(function: Callable[..., T], *arguments: Any) -> T:
    """`function(*arguments)`, whose intermediate results are computed anew in the backward pass.

    For losses over the pixels of many masks: what they would keep till then is as large as what
    the network keeps, and quickly computed.
    """
    return checkpoint(function, *arguments, use_reentrant=False, preserve_rng_state=False)


def named_losses(parts: Dict[str, Dict[str, Any]]) -> Dict[str, Any]:
    """The losses of several parts in one dict.

    Raises:
        InputError: two parts have a loss of the same name.
    """
    losses: Dict[str, Any] = {}
    clashes: List[str] = []
    for name, values in parts.items():
        clashes += [
            f'{name}: another one has a loss {loss} too; rename it in the loss() of its class'
            for loss in values
            if loss in losses
        ]
        losses.update(values)
    if clashes:
        raise InputError('; '.join(clashes))
    return losses
