"""A vision transformer that takes the weights of DINOv2 and CLIP in the layouts in which people have them.

Dosovitskiy et al. 2021 (arXiv 2010.11929); DINOv2: Oquab et al. 2023 (arXiv 2304.07193); CLIP: Radford et al. 2021 (arXiv 2103.00020).
Names of tensors are those of DINOv2's and timm's files; :mod:`audit.instruments.transformer_layouts` renames the others.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu, interpolate, layer_norm, linear, scaled_dot_product_attention

from audit.errors import InstrumentError

POSITIONS = ("offset", "size", "antialiased")
"""How a grid of learned positions is brought to another size: DINOv2's own way, transformers', timm's."""


class VisionTransformer(nn.Module):
    """(n, 3, h, w) -> (n, d): the class token after the last norm, projected where the file holds a projection.

    Everything but the number of heads is read off the tensors.

    Args:
        state: tensors by name: ``cls_token``, ``pos_embed``, ``patch_embed.proj.*``, ``blocks.N.*``, ``norm.*``; optionally ``norm_pre.*``,
            ``ls1.gamma``, ``head.*``.
        heads: attention heads; None = one for each 64 of the width.
        activation: "gelu", or "quick_gelu" (CLIP by OpenAI); None = quick_gelu where there is a ``norm_pre``.
        eps: of the norms; None = 1e-5 where there is a ``norm_pre``, else 1e-6.
        positions: one of :data:`POSITIONS`.

    Raises:
        InstrumentError: tensors are missing or left over, or the settings do not fit.
    """

    def __init__(self, state: dict[str, Tensor], *, heads: int | None = None, activation: str | None = None, eps: float | None = None,
                 positions: str = "offset") -> None:  # fmt: skip
        super().__init__()
        depth = len({name.split(".")[1] for name in state if name.startswith("blocks.")})
        _check_names(state, depth)
        width = state["cls_token"].shape[-1]
        self.heads, self.depth = heads or width // 64, depth
        if not self.heads or width % self.heads:
            raise InstrumentError(f"a transformer of width {width} cannot have {self.heads} heads; state `heads` in the manifest's parameters")
        if positions not in POSITIONS:
            raise InstrumentError(f"positions is {positions!r}; expected one of {', '.join(POSITIONS)}")
        clip = "norm_pre.weight" in state
        self.quick = (activation or ("quick_gelu" if clip else "gelu")) == "quick_gelu"
        self.eps, self.positions = eps or (1e-5 if clip else 1e-6), positions
        self.patch = state["patch_embed.proj.weight"].shape[-1]
        for name, tensor in state.items():
            self.register_buffer(name.replace(".", "__"), tensor.float().contiguous())

    def forward(self, x: Tensor) -> Tensor:
        if x.shape[-2] % self.patch or x.shape[-1] % self.patch:
            raise InstrumentError(f"images of {x.shape[-1]} x {x.shape[-2]} do not divide into patches of {self.patch}; state another size")
        x = nn.functional.conv2d(x, self._at("patch_embed.proj.weight"), self._at("patch_embed.proj.bias"), stride=self.patch)
        grid = x.shape[-2:]
        x = torch.cat([self._at("cls_token").expand(len(x), -1, -1), x.flatten(2).transpose(1, 2)], dim=1) + self._places(grid)
        if self._at("norm_pre.weight") is not None:
            x = self._norm(x, "norm_pre")
        for at in range(self.depth):
            block = f"blocks.{at}"
            x = x + self._scaled(self._attention(self._norm(x, f"{block}.norm1"), f"{block}.attn"), f"{block}.ls1.gamma")
            x = x + self._scaled(self._mlp(self._norm(x, f"{block}.norm2"), f"{block}.mlp"), f"{block}.ls2.gamma")
        token = self._norm(x[:, 0], "norm")
        return token if self._at("head.weight") is None else self._linear(token, "head")

    def _at(self, name: str) -> Tensor | None:
        return self._buffers.get(name.replace(".", "__"))

    def _linear(self, x: Tensor, name: str) -> Tensor:
        return linear(x, self._at(f"{name}.weight"), self._at(f"{name}.bias"))

    def _norm(self, x: Tensor, name: str) -> Tensor:
        return layer_norm(x, (x.shape[-1],), self._at(f"{name}.weight"), self._at(f"{name}.bias"), self.eps)

    def _scaled(self, x: Tensor, name: str) -> Tensor:
        gamma = self._at(name)
        return x if gamma is None else x * gamma

    def _attention(self, x: Tensor, name: str) -> Tensor:
        n, tokens, width = x.shape
        q, k, v = self._linear(x, f"{name}.qkv").view(n, tokens, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        return self._linear(scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(n, tokens, width), f"{name}.proj")

    def _mlp(self, x: Tensor, name: str) -> Tensor:
        x = self._linear(x, f"{name}.fc1")
        return self._linear(x * torch.sigmoid(1.702 * x) if self.quick else gelu(x), f"{name}.fc2")

    def _places(self, grid: tuple[int, int]) -> Tensor:
        stored = self._at("pos_embed")
        side = round((stored.shape[1] - 1) ** 0.5)
        if (side, side) == tuple(grid):
            return stored
        square = stored[:, 1:].reshape(1, side, side, -1).permute(0, 3, 1, 2)
        if self.positions == "offset":  # a tenth of a patch more, against rounding down; it moves the sampling points a little
            factor = tuple((cells + 0.1) / side for cells in grid)
            moved = interpolate(square, scale_factor=factor, mode="bicubic", align_corners=False)
        else:
            moved = interpolate(square, size=tuple(grid), mode="bicubic", align_corners=False, antialias=self.positions == "antialiased")
        return torch.cat([stored[:, :1], moved.permute(0, 2, 3, 1).flatten(1, 2)], dim=1)


_NEEDED = ("norm1.weight", "norm1.bias", "attn.qkv.weight", "attn.qkv.bias", "attn.proj.weight", "attn.proj.bias", "norm2.weight",
           "norm2.bias", "mlp.fc1.weight", "mlp.fc1.bias", "mlp.fc2.weight", "mlp.fc2.bias")  # fmt: skip
_OUTER = ("cls_token", "pos_embed", "patch_embed.proj.weight", "norm.weight", "norm.bias")
_OPTIONAL = {"patch_embed.proj.bias", "norm_pre.weight", "norm_pre.bias", "head.weight", "head.bias"}


def _check_names(state: dict[str, Tensor], depth: int) -> None:
    needed = {*_OUTER, *(f"blocks.{at}.{name}" for at in range(depth) for name in _NEEDED)}
    allowed = needed | _OPTIONAL | {f"blocks.{at}.ls{i}.gamma" for at in range(depth) for i in (1, 2)}
    missing, extra = sorted(needed - set(state)), sorted(set(state) - allowed)
    if missing or extra or not depth:
        raise InstrumentError(
            f"the file is no vision transformer in a known layout (DINOv2, timm, transformers or CLIP): missing {missing[:5]}, "
            f"unexpected {extra[:5]}"
        )
