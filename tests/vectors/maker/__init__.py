"""Helpers of make_tflite.py, make_qonnx.py, measure.py and check.py."""
