"""Experts of Hugging Face transformers' models, served by moed. Needs torch and transformers 5.

    moed.transformers.export(model, "experts.gguf")              # once; then serve the file
    moed.transformers.attach(model, "http://127.0.0.1:8080")     # the model runs as before
"""

from .attach import Attached, attach
from .export import export

__all__ = ["Attached", "attach", "export"]
