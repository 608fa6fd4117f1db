"""Plain calls made modules: saved and loaded, and told by the lines they stood in."""

from __future__ import annotations

import pickle
import re

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from atrous.convert.calls import Call
from atrous.convert.densify import densified
from atrous.convert.densities import DensifyError
from atrous.convert.proof import DenseRunError
from atrous.convert.study import Wish


class Pooled(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 4, 3, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        return F.max_pool2d(self.stem(x), 2)


def test_a_dense_graph_is_pickled_and_knows_no_paths() -> None:
    dense = densified(Pooled().eval(), (1, 1, 32, 32), Wish(1), as_graph=True).model
    saved = pickle.dumps(dense)
    x = torch.randn(1, 1, 32, 32)
    torch.testing.assert_close(pickle.loads(saved)(x), dense(x))
    kept = [module for module in dense.modules() if isinstance(module, Call)]
    assert len(kept) == 1 and kept[0].trace == ""


class Tokens(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 4, 4, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        rows = x.flatten(2).softmax(-1)
        return rows.reshape(x.shape)


class Patches(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        b, c, h, w = x.shape
        return x.reshape(b, c, h // 4, 4, w // 4, 4).amax((3, 5))


@pytest.mark.parametrize("as_graph", [False, True])
def test_a_view_that_cannot_change_is_told_with_its_line(as_graph: bool) -> None:
    where = re.escape(f"{__file__}:") + r"\d+: return rows\.reshape"
    with pytest.raises(DensifyError, match=f"reshape at {where}") as told:
        densified(Tokens().eval(), (1, 1, 32, 32), Wish(1), as_graph=as_graph)
    assert "into one module" in str(told.value)
    assert ("as_graph=True" in str(told.value)) == (not as_graph)


def test_a_call_that_fails_in_a_graph_is_told_with_its_line() -> None:
    where = re.escape(f"(at {__file__}:") + r"\d+: return x\.reshape"
    with pytest.raises(DenseRunError, match=f"{where}.*into one module"):
        densified(Patches().eval(), (1, 1, 32, 32), Wish(1), as_graph=True)


def test_a_call_in_a_submodule_is_told_with_its_module() -> None:
    class Pair(nn.Module):
        """Gives two maps of different strides, so that no phases of both can be joined."""

        def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
            return x.relu(), F.max_pool2d(x, 2)

    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.pair = Pair()

        def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
            one, two = self.pair(x)
            return one, two

    with pytest.raises(DensifyError, match=r"max_pool2d of 'pair' at .*test_calls\.py:\d+"):
        densified(Model().eval(), (1, 1, 32, 32), Wish(1))
