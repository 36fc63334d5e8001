"""Run a TFLite model under each of the four runtimes whose integer arithmetic Systole reproduces."""

import numpy as np
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from tflite_micro.python.tflite_micro import runtime as micro

PROFILES = ("tflm", "litert_ref", "litert_opt", "xnnpack")
RESOLVERS = {
    "litert_ref": OpResolverType.BUILTIN_REF,
    "litert_opt": OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
    "xnnpack": OpResolverType.BUILTIN,
}


def run(profile, model, samples):
    """Outputs `[N, ...]` of `model` (bytes) for `samples` `[N, ...]`, one invocation a sample.

    Raises whatever the runtime raises when it refuses the model.
    """
    if profile == "tflm":
        interpreter = micro.Interpreter.from_bytes(model, arena_size=1 << 20)

        def step(sample):
            interpreter.set_input(sample, 0)
            interpreter.invoke()
            return np.array(interpreter.get_output(0))
    else:
        interpreter = Interpreter(
            model_content=model,
            experimental_op_resolver_type=RESOLVERS[profile],
            num_threads=1,
        )
        interpreter.allocate_tensors()
        source = interpreter.get_input_details()[0]["index"]
        result = interpreter.get_output_details()[0]["index"]

        def step(sample):
            interpreter.set_tensor(source, sample)
            interpreter.invoke()
            return np.array(interpreter.get_tensor(result))

    return np.concatenate([step(sample[None]) for sample in samples])


def run_together(profile, model, arrays):
    """The output of one invocation of a model of several inputs; `arrays` have the inputs' own shapes."""
    if profile == "tflm":
        interpreter = micro.Interpreter.from_bytes(model, arena_size=1 << 22)
        for index, array in enumerate(arrays):
            interpreter.set_input(array, index)
        interpreter.invoke()
        return np.array(interpreter.get_output(0))
    interpreter = Interpreter(
        model_content=model, experimental_op_resolver_type=RESOLVERS[profile], num_threads=1
    )
    interpreter.allocate_tensors()
    for details, array in zip(interpreter.get_input_details(), arrays, strict=True):
        interpreter.set_tensor(details["index"], array)
    interpreter.invoke()
    return np.array(interpreter.get_tensor(interpreter.get_output_details()[0]["index"]))
