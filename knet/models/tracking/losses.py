"""Losses that make embeddings of one object in two frames alike (QDTrack, arXiv 2006.06664, section
3.3)."""

import torch
import torch.nn as nn
import torch.nn.functional as F
from mmdet.models.builder import LOSSES
from torch import Tensor


@LOSSES.register_module()
class MultiPosCrossEntropyLoss(nn.Module):
    """Cross entropy with any number of positives: log(1 + sum_p sum_n exp(s_n - s_p)) (QDTrack,
    equation 4).

    Args:
        loss_weight: Factor of the loss.
    """

    def __init__(self, loss_weight: float = 1.0):
        super().__init__()
        self.loss_weight = loss_weight

    def forward(self, similarity: Tensor, match: Tensor) -> Tensor:
        """
        Args:
            similarity: Dot products of key and reference embeddings, (n, m).
            match: (n, m), bool: the same object.

        Returns:
            Mean over the rows that have a partner; 0 with a graph if there is none.
        """
        has_partner = match.any(1)
        similarity, match = similarity[has_partner], match[has_partner]
        if not len(similarity):
            return similarity.sum()
        # the double sum factorizes: sum_n exp(s_n) * sum_p exp(-s_p)
        negative = similarity.masked_fill(match, -torch.inf).logsumexp(1)
        positive = (-similarity).masked_fill(~match, -torch.inf).logsumexp(1)
        return self.loss_weight * F.softplus(negative + positive).mean()


@LOSSES.register_module()
class CosineMarginLoss(nn.Module):
    """Squared error of cosine similarities against 1 (same object) or 0, with hard negative mining
    (QDTrack, equation 6).

    Args:
        neg_margin: Taken off the similarity of negatives.
        max_neg_ratio: At most so many negatives per positive count, the ones with the largest
            error.
        loss_weight: Factor of the loss.
    """

    def __init__(self, neg_margin: float = 0.1, max_neg_ratio: int = 3, loss_weight: float = 1.0):
        super().__init__()
        self.neg_margin = neg_margin
        self.max_neg_ratio = max_neg_ratio
        self.loss_weight = loss_weight

    def forward(self, cosine: Tensor, match: Tensor) -> Tensor:
        """
        Args:
            cosine: Cosine similarities, (n, m).
            match: (n, m), bool: the same object.

        Returns:
            Mean over the positives and the mined negatives; 0 with a graph if nothing matches.
        """
        error = (
            torch.where(match, cosine, cosine - self.neg_margin).clamp(0, 1)
            - match.to(cosine.dtype)
        ) ** 2
        positive, negative = error[match], error[~match]
        num_negative = min(len(negative), self.max_neg_ratio * len(positive))
        if not len(positive):
            return error.sum() * 0
        errors = torch.cat([positive, negative.topk(num_negative).values])
        return self.loss_weight * errors.mean()
