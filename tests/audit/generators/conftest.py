"""Files in the official StyleGAN2 layout, written by a child process whose modules stand in for the original's."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]

WRITER = r'''
import pickle, sys, types
from collections import OrderedDict
from pathlib import Path
import numpy as np, torch

persistence, dnnlib = types.ModuleType("torch_utils.persistence"), types.ModuleType("dnnlib")
sys.modules |= {"torch_utils": types.ModuleType("torch_utils"), "torch_utils.persistence": persistence, "dnnlib": dnnlib}
exec("def _reconstruct_persistent_obj(meta): raise SystemExit", persistence.__dict__)
exec("class EasyDict(dict): pass", dnnlib.__dict__)
dnnlib.EasyDict.__module__ = "dnnlib"
folder = Path(sys.argv[1])
SOURCE = f"open({str(folder / 'executed')!r}, 'w')"
OFFICIAL = {"StyleGAN2": "Generator", "Mapping": "MappingNetwork", "Synthesis": "SynthesisNetwork", "SynthesisBlock": "SynthesisBlock",
            "SynthesisLayer": "SynthesisLayer", "ToRGB": "ToRGBLayer", "FullyConnected": "FullyConnectedLayer", "Shortcut": "Conv2dLayer"}

class Persistent:
    def __init__(self, meta): self.meta = meta
    def __reduce__(self): return persistence._reconstruct_persistent_obj, (self.meta,)

def official(module, name="", **stated):
    kind = OFFICIAL[type(module).__name__]
    state = dict(training=False, _parameters=OrderedDict(module._parameters), _buffers=OrderedDict(module._buffers),
                 _non_persistent_buffers_set=set(), _backward_hooks=OrderedDict(), _is_full_backward_hook=None)
    state["_modules"] = OrderedDict((k, official(m, k, **stated)) for k, m in module._modules.items() if m is not None)
    if kind == "FullyConnectedLayer":
        state |= dict(activation="lrelu" if module.activate else "linear", weight_gain=np.float64(module.weight_gain), bias_gain=module.lr)
    if kind == "SynthesisLayer":
        state |= dict(activation=stated.get("activation", "lrelu"), use_noise=True, conv_clamp=stated.get("clamp"), act_gain=np.sqrt(2))
    if kind == "ToRGBLayer":
        state |= dict(conv_clamp=stated.get("clamp"))
    if kind == "SynthesisBlock":
        state |= dict(architecture=stated.get("architecture", "skip"), use_fp16=False)
    if kind == "SynthesisNetwork":
        state |= dict(img_channels=3)
    if kind == "Generator":
        state |= dict(_init_args=(), _init_kwargs=dnnlib.EasyDict(synthesis_kwargs=dnnlib.EasyDict(num_fp16_res=4)))
    return Persistent(dict(type="class", version=6, module_src=SOURCE, class_name=stated.get("renamed", kind) if name == "" else kind, state=state))

from audit.generators.stylegan2 import StyleGAN2

def write(name, protocol=4, stated={}, change=lambda net: None, wrap=lambda g: dict(G=None, D=None, G_ema=g), **options):
    torch.manual_seed(len(name))
    net = StyleGAN2(**{**dict(z_dim=12, w_dim=16, resolution=16, channels={4: 8, 8: 8, 16: 4}, mapping_layers=2), **options})
    for key, value in net.state_dict().items():
        if key.endswith(("noise_strength", "bias", "w_avg")): value += 0.3 * torch.randn(value.shape)
    change(net)
    (folder / f"{name}.pkl").write_bytes(pickle.dumps(wrap(official(net, **stated)), protocol=protocol))
    torch.save(net.state_dict(), folder / f"{name}.state.pt")

def poison(net): net.synthesis.b8.conv1.weight.data[0, 0, 0, 0] = float("nan")
def refilter(net): net.synthesis.b8.resample_filter[:] = 1 / 16
def turned(g):
    g.meta["state"]["_modules"]["synthesis"].meta["state"]["_modules"]["input"] = None
    return g

write("skip")
write("protocol2", protocol=2)
write("resnet", architecture="resnet", stated=dict(architecture="resnet"))
write("orig", architecture="orig", stated=dict(architecture="orig"))
write("clamped", conv_clamp=0.6, stated=dict(clamp=0.6))
write("conditional", c_dim=3)
write("wide", c_dim=3, embed_width=5, hidden_width=20, mapping_lr=0.1)
write("alone", wrap=lambda g: g)
write("nan", change=poison)
write("filter", change=refilter)
write("relu", stated=dict(activation="relu"))
nest = ()
for _ in range(60):
    nest = (nest, nest)
write("nest", stated=dict(architecture=nest))
write("renamed", stated=dict(renamed="MyGenerator"))
write("stylegan3", wrap=lambda g: dict(G_ema=turned(g)))
write("encoder", wrap=lambda g: dict(E=g))
'''


@pytest.fixture(scope="session")
def official(tmp_path_factory):
    """A folder of NAME.pkl in the official layout and NAME.state.pt, the same tensors by name."""
    folder = tmp_path_factory.mktemp("official")
    done = subprocess.run([sys.executable, "-c", WRITER, str(folder)], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folder
