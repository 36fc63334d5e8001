"""Train and export the digits network: scikit-learn's 8x8 digits, 4-bit weights, 4-bit activations.

Quantization-aware training in numpy: the forward pass uses the quantized weights and activations, the backward
pass lets gradients through the rounding (straight-through estimator; Bengio, Leonard and Courville, 2013) and
stops them outside the clipping range. Writes `digits.onnx` (QONNX), `test.npz` and prints the accuracy.

    python train.py            train, export, check the export with the qonnx executor
    python train.py --check    only evaluate the stored digits.onnx on the stored test.npz
"""

import argparse
import warnings
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.core.onnx_exec import execute_onnx
from qonnx.transformation.infer_shapes import InferShapes
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

HERE = Path(__file__).resolve().parent
WIDTHS = (64, 48, 32, 10)
INPUT_BITS, WEIGHT_BITS, ACTIVATION_BITS = 5, 4, 4
ACTIVATION_SCALE = 0.25
EPSILON = 1e-5
EPOCHS, BATCH, RATE = 240, 64, 4e-3
TEST_SAMPLES, SEED = 360, 7


def load():
    """Training and test images [N, 64] (integers 0 to 16 as float64) and labels [N], split by class."""
    digits = load_digits()
    return train_test_split(
        digits.data, digits.target, test_size=TEST_SAMPLES, random_state=SEED, stratify=digits.target
    )


def weight_scale(weights):
    """The power of two at which `WEIGHT_BITS` cover the weights' typical range."""
    highest = 2 ** (WEIGHT_BITS - 1) - 1
    return 2.0 ** np.round(np.log2(3.0 * weights.std() / highest))


def quantize_weights(weights):
    """Weights on their grid [-7, 7] * scale, and where the gradient passes."""
    highest = 2 ** (WEIGHT_BITS - 1) - 1
    scale = weight_scale(weights)
    codes = weights / scale
    return np.clip(np.rint(codes), -highest, highest) * scale, np.abs(codes) <= highest + 0.5


def quantize_activations(values):
    """Activations on the grid [0, 15] * ACTIVATION_SCALE (a clipped ReLU), and where the gradient passes."""
    highest = 2**ACTIVATION_BITS - 1
    codes = values / ACTIVATION_SCALE
    return np.clip(np.rint(codes), 0, highest) * ACTIVATION_SCALE, (codes > 0) & (codes < highest)


class Layer:
    """A matrix product with, for hidden layers, batch normalization and a quantized ReLU."""

    def __init__(self, rng, inputs, outputs, last):
        self.weights = rng.normal(0, np.sqrt(2 / inputs), (inputs, outputs))
        self.last = last
        self.gamma, self.beta = np.ones(outputs), np.zeros(outputs)
        self.mean, self.variance = np.zeros(outputs), np.ones(outputs)

    def parameters(self):
        """The trained arrays; the last layer has no gamma."""
        return [self.weights, self.beta] if self.last else [self.weights, self.gamma, self.beta]

    def forward(self, x, training):
        """[N, inputs] -> [N, outputs]; keeps what `backward` needs."""
        self.x = x
        self.quantized, self.pass_weights = quantize_weights(self.weights)
        product = x @ self.quantized
        if self.last:
            return product + self.beta
        mean, variance = self.mean, self.variance
        if training:
            mean, variance = product.mean(0), product.var(0)
            self.mean = 0.95 * self.mean + 0.05 * mean
            self.variance = 0.95 * self.variance + 0.05 * variance
        self.deviation = np.sqrt(variance + EPSILON)
        self.normal = (product - mean) / self.deviation
        out, self.pass_out = quantize_activations(self.gamma * self.normal + self.beta)
        return out

    def backward(self, gradient):
        """Gradient of the input; keeps the parameters' gradients in `gradients`."""
        if self.last:
            rest = [gradient.sum(0)]
        else:
            gradient = gradient * self.pass_out
            rest = [(gradient * self.normal).sum(0), gradient.sum(0)]
            normal = gradient * self.gamma
            gradient = (
                normal - normal.mean(0) - self.normal * (normal * self.normal).mean(0)
            ) / self.deviation
        self.gradients = [(self.x.T @ gradient) * self.pass_weights, *rest]
        return gradient @ self.quantized.T


class Adam:
    """Adam (Kingma and Ba, 2015) over a list of arrays."""

    def __init__(self, arrays):
        self.arrays, self.step = arrays, 0
        self.first = [np.zeros_like(a) for a in arrays]
        self.second = [np.zeros_like(a) for a in arrays]

    def update(self, gradients, rate):
        """One step in place."""
        self.step += 1
        for array, gradient, m, v in zip(self.arrays, gradients, self.first, self.second):
            m += 0.1 * (gradient - m)
            v += 0.001 * (gradient**2 - v)
            array -= rate * (m / (1 - 0.9**self.step)) / (np.sqrt(v / (1 - 0.999**self.step)) + 1e-8)


def augment(rng, images):
    """Shift each image by up to one pixel and change its contrast; values stay integers from 0 to 16."""
    grid = np.pad(images.reshape(-1, 8, 8), ((0, 0), (1, 1), (1, 1)))
    out = np.empty((len(images), 8, 8))
    for i, (down, right) in enumerate(rng.integers(0, 3, (len(images), 2))):
        if rng.random() < 0.5:
            down = right = 1
        out[i] = grid[i, down : down + 8, right : right + 8]
    out = np.rint(out * rng.uniform(0.8, 1.15, (len(images), 1, 1)))
    return np.clip(out, 0, 16).reshape(len(images), 64)


def train(images, labels):
    """The trained layers."""
    rng = np.random.default_rng(SEED)
    last = len(WIDTHS) - 2
    layers = [Layer(rng, *WIDTHS[i : i + 2], i == last) for i in range(last + 1)]
    optimizer = Adam([a for layer in layers for a in layer.parameters()])
    targets = np.eye(WIDTHS[-1])[labels] * 0.95 + 0.05 / WIDTHS[-1]
    for epoch in range(EPOCHS):
        rate = RATE * 0.5 * (1 + np.cos(np.pi * epoch / EPOCHS))
        order = rng.permutation(len(images))
        for start in range(0, len(order) - BATCH + 1, BATCH):
            batch = order[start : start + BATCH]
            x = augment(rng, images[batch])
            for layer in layers:
                x = layer.forward(x, True)
            likelihood = np.exp(x - x.max(1, keepdims=True))
            likelihood /= likelihood.sum(1, keepdims=True)
            gradient = (likelihood - targets[batch]) / BATCH
            for layer in reversed(layers):
                gradient = layer.backward(gradient)
            optimizer.update([g for layer in layers for g in layer.gradients], rate)
    return layers


class Graph:
    """The QONNX graph under construction."""

    def __init__(self):
        self.nodes, self.parameters = [], []

    def parameter(self, name, value):
        """A float32 initializer."""
        self.parameters.append(numpy_helper.from_array(np.asarray(value, np.float32), name))
        return name

    def node(self, kind, name, inputs, **attributes):
        """One node whose output carries its name."""
        domain = {"domain": "qonnx.custom_op.general"} if kind == "Quant" else {}
        self.nodes.append(helper.make_node(kind, inputs, [name], name=name, **domain, **attributes))
        return name

    def quant(self, name, source, scale, bits, signed, narrow):
        """A Quant node with zero point 0."""
        operands = [source] + [
            self.parameter(f"{name}_{label}", value)
            for label, value in (("scale", scale), ("zero_point", 0.0), ("bits", bits))
        ]
        return self.node("Quant", name, operands, signed=signed, narrow=narrow, rounding_mode="ROUND")


def export(layers):
    """The network as a QONNX model: float [1, 64] pixels in, float [1, 10] logits out."""
    graph = Graph()
    x = graph.quant("pixels_quant", "pixels", 1.0, INPUT_BITS, 0, 0)
    for number, layer in enumerate(layers, 1):
        stem = f"dense{number}"
        source = graph.parameter(f"{stem}_weights", layer.weights)
        scale = weight_scale(layer.weights)
        weights = graph.quant(f"{stem}_weights_quant", source, scale, WEIGHT_BITS, 1, 1)
        x = graph.node("MatMul", "logits_product" if layer.last else f"{stem}_product", [x, weights])
        if layer.last:
            x = graph.node("Add", "logits", [x, graph.parameter("logits_bias", layer.beta)])
            break
        names = ("gamma", "beta", "mean", "variance")
        values = (layer.gamma, layer.beta, layer.mean, layer.variance)
        operands = [graph.parameter(f"{stem}_{n}", v) for n, v in zip(names, values)]
        x = graph.node("BatchNormalization", f"{stem}_norm", [x, *operands], epsilon=EPSILON)
        x = graph.node("Relu", f"{stem}_relu", [x])
        x = graph.quant(f"{stem}_quant", x, ACTIVATION_SCALE, ACTIVATION_BITS, 0, 0)
    inputs = [helper.make_tensor_value_info("pixels", TensorProto.FLOAT, [1, WIDTHS[0]])]
    outputs = [helper.make_tensor_value_info("logits", TensorProto.FLOAT, [1, WIDTHS[-1]])]
    proto = helper.make_graph(graph.nodes, "digits", inputs, outputs, graph.parameters)
    opsets = [helper.make_opsetid("", 13), helper.make_opsetid("qonnx.custom_op.general", 1)]
    model = helper.make_model(proto, opset_imports=opsets, producer_name="train.py")
    model.ir_version = 8
    return model


def execute(model, images):
    """Logits [N, 10] by the qonnx executor, one image at a time."""
    wrapper = ModelWrapper(onnx.load_from_string(model.SerializeToString())).transform(InferShapes())
    rows = images.astype(np.float32)
    return np.concatenate([execute_onnx(wrapper, {"pixels": row[None]})["logits"] for row in rows])


def main():
    """Train, export and check; or only check."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="evaluate the stored files only")
    only_check = parser.parse_args().check
    warnings.simplefilter("ignore")
    if not only_check:
        images, test_images, labels, test_labels = load()
        layers = train(images, labels)
        model = export(layers)
        onnx.save(model, HERE / "digits.onnx")
        np.savez_compressed(
            HERE / "test.npz",
            input=test_images.astype(np.float32),
            output=execute(model, test_images),
            label=test_labels.astype(np.int64),
        )
        fitted = (execute(model, images).argmax(1) == labels).mean()
        print(f"training accuracy {fitted:.4f} on {len(labels)} images")
    stored = np.load(HERE / "test.npz")
    logits = execute(onnx.load(HERE / "digits.onnx"), stored["input"])
    if not np.array_equal(logits, stored["output"]):
        raise SystemExit("digits.onnx does not give the logits that test.npz holds")
    right = int((logits.argmax(1) == stored["label"]).sum())
    print(f"test accuracy {right / len(logits):.4f} ({right} of {len(logits)})")


if __name__ == "__main__":
    main()
