"""An emulator of wafer-scale engines: a mesh of processing elements that decodes real transformers."""

__version__ = "0.1.0"
