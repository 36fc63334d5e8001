"""Train and export the MNIST network: a residual block and two depthwise-separable blocks, int8.

Keras trains in float32; the TensorFlow Lite converter folds the batch normalization and quantizes to int8 after
training. Writes `mnist.tflite` and `test.npz` and prints accuracies.

    python train.py            train, export, check
    python train.py --check    only evaluate the stored mnist.tflite on the stored test.npz
"""

import argparse
import gzip
import importlib.resources
import pickle
from pathlib import Path

import numpy as np
from ai_edge_litert import interpreter as litert
from tflite_micro.python.tflite_micro import runtime as micro

HERE = Path(__file__).resolve().parent
EPOCHS, BATCH, RATE, SEED = 12, 128, 4e-3, 11
TEST_SAMPLES, CALIBRATION_SAMPLES = 1000, 500


def load():
    """(images uint8 [N, 28, 28, 1], labels int64 [N]) of the training, validation and test part."""
    path = importlib.resources.files("mnist") / "data" / "mnist.pkl.gz"
    with path.open("rb") as file, gzip.open(file) as unpacked:
        parts = pickle.load(unpacked, encoding="latin1")
    # The package stores pixel / 256.
    return [(np.rint(x * 256).astype(np.uint8).reshape(-1, 28, 28, 1), y.astype(np.int64)) for x, y in parts]


def build():
    """The network: pixels / 255 in, logits out."""
    import keras
    from keras import layers

    def convolution(x, channels, kernel=3, stride=1, activation=True):
        x = layers.Conv2D(channels, kernel, stride, padding="same", use_bias=False)(x)
        x = layers.BatchNormalization()(x)
        return layers.ReLU()(x) if activation else x

    def depthwise(x, stride):
        x = layers.DepthwiseConv2D(3, stride, padding="same", use_bias=False)(x)
        return layers.ReLU()(layers.BatchNormalization()(x))

    image = layers.Input((28, 28, 1), name="image")
    x = convolution(image, 8, stride=2)
    residual = convolution(convolution(x, 8), 8, activation=False)
    x = layers.ReLU()(layers.Add()([x, residual]))
    x = convolution(depthwise(x, 2), 24, kernel=1)
    x = convolution(depthwise(x, 2), 48, kernel=1)
    x = layers.GlobalAveragePooling2D(keepdims=True)(x)
    return keras.Model(image, layers.Dense(10, name="logits")(layers.Flatten()(x)))


def shifted(images, rng):
    """Each image moved by up to two pixels both ways."""
    padded = np.pad(images, ((0, 0), (2, 2), (2, 2), (0, 0)))
    moves = rng.integers(0, 5, (len(images), 2))
    return np.stack([image[down : down + 28, right : right + 28] for image, (down, right) in zip(padded, moves)])


def train(images, labels, validation):
    """The trained Keras model."""
    import keras

    keras.utils.set_random_seed(SEED)
    rng = np.random.default_rng(SEED)
    model = build()
    steps = EPOCHS * (len(images) // BATCH)
    model.compile(
        keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(RATE, steps)),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    for epoch in range(EPOCHS):
        inputs = shifted(images, rng).astype(np.float32) / 255
        fit = model.fit(inputs, labels, BATCH, verbose=0)
        print(f"epoch {epoch + 1:2}  loss {fit.history['loss'][0]:.4f}", flush=True)
    pixels, expected = validation
    print(f"float32 validation accuracy {model.evaluate(pixels / np.float32(255), expected, verbose=0)[1]:.4f}")
    return model


def convert(model, images):
    """The int8 file; activations' ranges come from `images`."""
    import tensorflow as tf
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    # A fixed batch of 1: the accelerator takes one sample after another.
    function = tf.function(lambda image: model(image, training=False))
    concrete = function.get_concrete_function(tf.TensorSpec((1, 28, 28, 1), tf.float32, "image"))
    frozen = convert_variables_to_constants_v2(concrete)
    converter = tf.lite.TFLiteConverter.from_concrete_functions([frozen])
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([image[None].astype(np.float32) / 255] for image in images)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.int8
    return converter.convert()


def execute_micro(model, inputs):
    """int8 [N, 10] of TensorFlow Lite Micro."""
    interpreter = micro.Interpreter.from_bytes(model)
    rows = []
    for row in inputs:
        interpreter.set_input(row[None], 0)
        interpreter.invoke()
        rows.append(interpreter.get_output(0)[0])
    return np.array(rows)


def execute_xnnpack(model, inputs):
    """int8 [N, 10] of LiteRT with its default delegate."""
    interpreter = litert.Interpreter(model_content=model)
    interpreter.allocate_tensors()
    source, target = interpreter.get_input_details()[0]["index"], interpreter.get_output_details()[0]["index"]
    rows = []
    for row in inputs:
        interpreter.set_tensor(source, row[None])
        interpreter.invoke()
        rows.append(interpreter.get_tensor(target)[0])
    return np.array(rows)


def main():
    """Train, export and check; or only check."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="evaluate the stored files only")
    if not parser.parse_args().check:
        (images, labels), validation, (test_images, test_labels) = load()
        model = convert(train(images, labels, validation), images[:CALIBRATION_SAMPLES])
        (HERE / "mnist.tflite").write_bytes(model)
        # Scale 1/255 and zero point -128: the int8 input is the pixel minus 128.
        inputs = (test_images.astype(np.int16) - 128).astype(np.int8)
        whole = execute_micro(model, inputs)
        print(f"accuracy on all {len(inputs)} test images {(whole.argmax(1) == test_labels).mean():.4f}")
        part = slice(0, TEST_SAMPLES)
        np.savez_compressed(
            HERE / "test.npz",
            input=inputs[part],
            output_tflm=whole[part],
            output_xnnpack=execute_xnnpack(model, inputs[part]),
            label=test_labels[part],
        )
    model, stored = (HERE / "mnist.tflite").read_bytes(), np.load(HERE / "test.npz")
    for name, execute in (("tflm", execute_micro), ("xnnpack", execute_xnnpack)):
        if not np.array_equal(execute(model, stored["input"]), stored[f"output_{name}"]):
            raise SystemExit(f"mnist.tflite does not give the integers that test.npz holds for {name}")
    right = int((stored["output_tflm"].argmax(1) == stored["label"]).sum())
    print(f"test accuracy {right / len(stored['label']):.4f} ({right} of {len(stored['label'])})")


if __name__ == "__main__":
    main()
