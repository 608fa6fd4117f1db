"""Values of a program's nodes are those of the model."""

from __future__ import annotations

import pytest
import torch
import torchvision
from torch import Tensor, nn

from atrous.graph.capture import capture
from atrous.graph.evaluation import evaluate


class Several(nn.Module):
    """Operators of several results, data that lends its shape, constants, written views."""

    def __init__(self) -> None:
        super().__init__()
        self.rnn = nn.LSTM(6, 5, batch_first=True)
        self.register_buffer("scale", torch.linspace(1, 2, 5))

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        first, second, third = x.split(2, -1)
        out, (state, _) = self.rnn(torch.cat([third, first, second], -1))
        best, _ = out.topk(3, 1)
        grown = torch.zeros_like(x) + torch.arange(x.shape[1], dtype=x.dtype)[:, None]
        grown = grown.clone()
        grown[:, ::2] += x[:, ::2]
        return third, out * self.scale, state, best, grown


@pytest.mark.parametrize(
    "make", [Several, lambda: torchvision.models.googlenet(init_weights=False)]
)
def test_every_output_equals_the_models_and_so_do_gradients(make: object) -> None:
    torch.manual_seed(0)
    model = make().double().eval()  # type: ignore[operator]
    shape = (2, 7, 6) if isinstance(model, Several) else (2, 3, 64, 64)
    x = torch.randn(shape, dtype=torch.float64, requires_grad=True)
    program = capture(model, x)
    expected = model(x)
    expected = expected if isinstance(expected, tuple) else (expected,)
    assert len(program.outputs) == len(expected)
    for value, name in zip(expected, program.outputs.values(), strict=True):
        found = evaluate(program, {program.inputs[0]: x}, [name])[name]
        assert torch.allclose(found, value, rtol=1e-10, atol=1e-12)
        weight = torch.randn_like(value)
        grads = [
            torch.autograd.grad(v, x, weight, retain_graph=True, allow_unused=True)[0]
            for v in (found, value)
        ]
        assert torch.allclose(*grads, rtol=1e-10, atol=1e-12)


def test_an_operator_that_writes_into_its_arguments_is_told() -> None:
    @torch.library.custom_op("evaluated::written", mutates_args={"x"})
    def written(x: Tensor) -> None:
        x.add_(1)

    class Custom(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            y = x * 2
            written(y)
            return y

    x = torch.randn(1, 1, 9)
    program = capture(Custom(), x)
    with pytest.raises(NotImplementedError, match="every operator before"):
        evaluate(program, {program.inputs[0]: x}, [program.output().name])
