"""One trained ONNX file in, the ladder of its compressed variants out, without torch and without training."""
