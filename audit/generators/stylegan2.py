"""StyleGAN2 generator: mapping network, modulated convolutions, per-pixel noise; skip outputs or residual blocks.

Karras et al. 2020, "Analyzing and Improving the Image Quality of StyleGAN", arXiv 1912.04958 (sections 2.2 weight
demodulation, 4.1 skip outputs and residual nets); parameter names and shapes follow the layout of the public StyleGAN2-ADA PyTorch files, so
that their weights load unchanged. Departure: styles scale the activations instead of the weights, which is the same
function and needs no grouped convolution, so it is fast on a processor.
"""

import math
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from audit.errors import SourceError

NoiseMode = Literal["const", "random", "none"]
Architecture = Literal["skip", "resnet", "orig"]


class FullyConnected(nn.Module):
    """Linear layer with equalised learning rate, optionally followed by a leaky ReLU of gain sqrt(2)."""

    def __init__(self, inputs: int, outputs: int, *, activate: bool = False, lr: float = 1.0, bias: float = 0.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs) / lr)
        self.bias = nn.Parameter(torch.full((outputs,), float(bias)))
        self.activate, self.lr = activate, lr
        self.weight_gain = lr / math.sqrt(inputs)

    def forward(self, x: Tensor) -> Tensor:  # (n, inputs) -> (n, outputs)
        x = F.linear(x, self.weight * self.weight_gain, self.bias * self.lr)
        return F.leaky_relu(x, 0.2) * math.sqrt(2) if self.activate else x


class Mapping(nn.Module):
    """z (and a condition) -> w, with truncation towards the average w."""

    def __init__(self, z_dim: int, c_dim: int, w_dim: int, num_ws: int, layers: int = 8, lr: float = 0.01, *,
                 embed_width: int | None = None, hidden_width: int | None = None) -> None:  # fmt: skip
        super().__init__()
        self.z_dim, self.c_dim, self.w_dim, self.num_ws, self.num_layers = z_dim, c_dim, w_dim, num_ws, layers
        embed_width = embed_width or w_dim
        if c_dim:
            self.embed = FullyConnected(c_dim, embed_width)
        widths = [z_dim + (embed_width if c_dim else 0)] + [hidden_width or w_dim] * (layers - 1) + [w_dim]
        for i in range(layers):
            setattr(self, f"fc{i}", FullyConnected(widths[i], widths[i + 1], activate=True, lr=lr))
        self.register_buffer("w_avg", torch.zeros(w_dim))

    def forward(self, z: Tensor, c: Tensor | None = None, *, truncation_psi: float = 1.0,
                truncation_cutoff: int | None = None) -> Tensor:  # fmt: skip
        """Return (n, num_ws, w_dim)."""
        x = _unit_moment(z.float())
        if self.c_dim:
            if c is None:
                raise SourceError(f"this generator is conditional; expected a condition (n, {self.c_dim}) beside z, found none")
            y = _unit_moment(self.embed(c.float()))
            x = torch.cat([x, y], dim=1)
        for i in range(self.num_layers):
            x = getattr(self, f"fc{i}")(x)
        ws = x.unsqueeze(1).repeat(1, self.num_ws, 1)
        if truncation_psi != 1:
            cutoff = self.num_ws if truncation_cutoff is None else truncation_cutoff
            head = self.w_avg.lerp(ws[:, :cutoff], truncation_psi)
            ws = torch.cat([head, ws[:, cutoff:]], dim=1)
        return ws


class SynthesisLayer(nn.Module):
    """Modulated 3x3 convolution, noise, bias, leaky ReLU; ``up=2`` doubles the size with a [1, 3, 3, 1] filter.

    ``gain`` scales what comes out, ``clamp`` (times the gain) bounds it.
    """

    def __init__(self, inputs: int, outputs: int, w_dim: int, resolution: int, up: int = 1, *, gain: float = 1.0,
                 clamp: float | None = None) -> None:  # fmt: skip
        super().__init__()
        self.up, self.resolution, self.gain, self.clamp = up, resolution, math.sqrt(2) * gain, clamp and clamp * gain
        self.affine = FullyConnected(w_dim, inputs, bias=1)
        self.weight = nn.Parameter(torch.randn(outputs, inputs, 3, 3))
        self.bias = nn.Parameter(torch.zeros(outputs))
        self.noise_strength = nn.Parameter(torch.zeros([]))
        self.register_buffer("noise_const", torch.randn(resolution, resolution))
        self.register_buffer("resample_filter", _binomial_filter())

    def forward(self, x: Tensor, w: Tensor, noise: Tensor | None) -> Tensor:
        style = self.affine(w)  # (n, inputs)
        # Demodulation (section 2.2): outputs have unit expected standard deviation whatever the style.
        energy = self.weight.square().sum(dim=[2, 3])  # (outputs, inputs)
        demodulate = (style.square() @ energy.t() + 1e-8).rsqrt().to(x.dtype)
        weight = self.weight.to(x.dtype)
        x = x * style.to(x.dtype)[:, :, None, None]
        if self.up == 2:
            x = F.conv_transpose2d(x, weight.transpose(0, 1), stride=2)
            x = _filter(x, self.resample_filter * 4, pad=(1, 1))
        else:
            x = F.conv2d(x, weight, padding=1)
        x = x * demodulate[:, :, None, None]
        if noise is not None:
            x = x + (noise * self.noise_strength).to(x.dtype)
        x = F.leaky_relu(x + self.bias.to(x.dtype)[None, :, None, None], 0.2) * self.gain
        return x if self.clamp is None else x.clamp(-self.clamp, self.clamp)


class ToRGB(nn.Module):
    """Modulated 1x1 convolution to colour, without demodulation."""

    def __init__(self, inputs: int, w_dim: int, clamp: float | None = None) -> None:
        super().__init__()
        self.affine = FullyConnected(w_dim, inputs, bias=1)
        self.weight = nn.Parameter(torch.randn(3, inputs, 1, 1))
        self.bias = nn.Parameter(torch.zeros(3))
        self.weight_gain, self.clamp = 1 / math.sqrt(inputs), clamp

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        style = (self.affine(w) * self.weight_gain).to(x.dtype)
        x = F.conv2d(x * style[:, :, None, None], self.weight.to(x.dtype), self.bias.to(x.dtype))
        return x if self.clamp is None else x.clamp(-self.clamp, self.clamp)


class Shortcut(nn.Module):
    """The way around the two convolutions of a residual block: 1x1 convolution, twice the size, gain sqrt(1/2)."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs, 1, 1))
        self.register_buffer("resample_filter", _binomial_filter())
        self.weight_gain = math.sqrt(0.5 / inputs)

    def forward(self, x: Tensor) -> Tensor:
        return upsample(F.conv2d(x, (self.weight * self.weight_gain).to(x.dtype)), self.resample_filter)


class SynthesisBlock(nn.Module):
    """All layers at one resolution."""

    def __init__(self, inputs: int, outputs: int, w_dim: int, resolution: int, *, architecture: Architecture = "skip",
                 last: bool = False, clamp: float | None = None) -> None:  # fmt: skip
        super().__init__()
        self.first, self.residual = inputs == 0, inputs != 0 and architecture == "resnet"
        self.register_buffer("resample_filter", _binomial_filter())
        if self.first:
            self.const = nn.Parameter(torch.randn(outputs, resolution, resolution))
        else:
            self.conv0 = SynthesisLayer(inputs, outputs, w_dim, resolution, up=2, clamp=clamp)
        self.conv1 = SynthesisLayer(outputs, outputs, w_dim, resolution, gain=math.sqrt(0.5) if self.residual else 1.0, clamp=clamp)
        if self.residual:
            self.skip = Shortcut(inputs, outputs)
        self.torgb = ToRGB(outputs, w_dim, clamp) if last or architecture == "skip" else None


class Synthesis(nn.Module):
    """(n, num_ws, w_dim) -> (n, 3, size, size), nominal range -1..1."""

    def __init__(self, w_dim: int, resolution: int, channels: dict[int, int], *, architecture: Architecture = "skip",
                 clamp: float | None = None) -> None:  # fmt: skip
        super().__init__()
        self.resolutions = [2**i for i in range(2, int(math.log2(resolution)) + 1)]
        self.num_ws = 2 * len(self.resolutions)
        before = 0
        for r in self.resolutions:
            setattr(self, f"b{r}", SynthesisBlock(before, channels[r], w_dim, r, architecture=architecture, last=r == resolution, clamp=clamp))
            before = channels[r]

    def forward(self, ws: Tensor, *, noise: NoiseMode = "const", seeds_noise: dict[int, list[Tensor]] | None = None,
                resolution: int | None = None, start: Tensor | None = None,
                precision: torch.dtype = torch.float32) -> Tensor:  # fmt: skip
        """Draw images.

        Args:
            ws: (n, num_ws, w_dim).
            noise: "const" uses the stored noise images, "random" fresh ones from torch's generator, "none" none at all.
            seeds_noise: per resolution, one (n, 1, r, r) tensor a layer: noise given from outside, per image.
            resolution: stop at this size; None = the full size. Growing training uses it.
            start: (n, channels, 4, 4) replaces the learned constant; self-conditioning uses it.
            precision: of the feature maps; torch.bfloat16 trains up to twice as fast where the processor knows it. Styles and
                the image itself stay float32.
        """
        x, image, at = start, None, 0
        for r in self.resolutions:
            block = getattr(self, f"b{r}")
            if block.first:
                if x is None:
                    x = block.const.unsqueeze(0).expand(ws.shape[0], -1, -1, -1)
                x = x.to(precision)
                layers = [block.conv1]
            else:
                layers = [block.conv0, block.conv1]
            around = block.skip(x) if block.residual else None
            for i, layer in enumerate(layers):
                given = seeds_noise[r][i] if seeds_noise is not None else None
                x = layer(x, ws[:, at], _noise(layer, x.shape[0], noise, given, ws))
                at += 1
            x = x if around is None else x + around
            image = image if image is None else upsample(image, block.resample_filter)
            if block.torgb is not None:
                colour = block.torgb(x, ws[:, at]).float()
                image = colour if image is None else image + colour
            if r == resolution:
                break
        return image


class StyleGAN2(nn.Module):
    """The generator: z -> image.

    Args:
        z_dim, c_dim, w_dim: widths of latent, condition (0 = none) and intermediate latent.
        resolution: image side, a power of two.
        channels: feature maps at each resolution, e.g. ``{4: 128, 8: 128, 16: 96, 32: 64, 64: 32}``.
        mapping_layers: depth of the mapping network.
        mapping_lr: its learning rate multiplier, by which its stored weights are scaled.
        embed_width, hidden_width: of the mapping network's condition and hidden layers; None = ``w_dim``.
        architecture: "skip" adds up a colour image of every resolution, "resnet" has residual blocks and "orig" neither.
        conv_clamp: bound on what a convolution returns, None = no bound.
    """

    def __init__(self, *, z_dim: int = 512, c_dim: int = 0, w_dim: int = 512, resolution: int, channels: dict[int, int],
                 mapping_layers: int = 8, mapping_lr: float = 0.01, embed_width: int | None = None, hidden_width: int | None = None,
                 architecture: Architecture = "skip", conv_clamp: float | None = None) -> None:  # fmt: skip
        super().__init__()
        self.z_dim, self.c_dim, self.w_dim, self.resolution = z_dim, c_dim, w_dim, resolution
        channels = {int(k): v for k, v in channels.items()}
        self.synthesis = Synthesis(w_dim, resolution, channels, architecture=architecture, clamp=conv_clamp)
        self.num_ws = self.synthesis.num_ws
        self.mapping = Mapping(z_dim, c_dim, w_dim, self.num_ws, mapping_layers, mapping_lr, embed_width=embed_width,
                               hidden_width=hidden_width)  # fmt: skip

    def forward(self, z: Tensor, c: Tensor | None = None, *, truncation_psi: float = 1.0,
                truncation_cutoff: int | None = None, noise: NoiseMode = "const") -> Tensor:  # fmt: skip
        """Return (n, 3, h, w) float32, nominal range -1..1, unclipped.

        Args:
            z: (n, z_dim) standard normal; only its direction matters.
            c: (n, c_dim) condition, None for unconditional models.
            truncation_psi: 1 = none; 0 = the average face.
            truncation_cutoff: truncate only the first so many layers; None = all.
            noise: see :meth:`Synthesis.forward`.
        """
        ws = self.mapping(z, c, truncation_psi=truncation_psi, truncation_cutoff=truncation_cutoff)
        return self.synthesis(ws, noise=noise)


def upsample(image: Tensor, resample_filter: Tensor) -> Tensor:
    """Double the size of (n, c, h, w) with zero insertion and the [1, 3, 3, 1] filter."""
    n, c, h, w = image.shape
    wide = image.new_zeros(n, c, h, 2, w, 2)
    wide[:, :, :, 0, :, 0] = image
    return _filter(wide.view(n, c, 2 * h, 2 * w), resample_filter * 4, pad=(2, 1))


def _noise(layer: SynthesisLayer, n: int, mode: NoiseMode, given: Tensor | None, like: Tensor) -> Tensor | None:
    if given is not None:
        return given
    if mode == "random":
        return torch.randn(n, 1, layer.resolution, layer.resolution, device=like.device)
    return layer.noise_const if mode == "const" else None


def _unit_moment(x: Tensor) -> Tensor:
    return x * (x.square().mean(dim=1, keepdim=True) + 1e-8).rsqrt()


def _binomial_filter() -> Tensor:
    taps = torch.tensor([1.0, 3.0, 3.0, 1.0])
    taps = torch.outer(taps, taps)
    return taps / taps.sum()


def _filter(x: Tensor, taps: Tensor, pad: tuple[int, int]) -> Tensor:
    channels = x.shape[1]
    x = F.pad(x, (pad[0], pad[1], pad[0], pad[1]))
    return F.conv2d(x, taps.expand(channels, 1, 4, 4).to(x.dtype), groups=channels)
