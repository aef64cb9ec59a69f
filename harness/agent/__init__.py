"""What runs on the device: the standard library, numpy, one runtime, and `edgerig.preprocess`. Python 3.8 and newer."""
