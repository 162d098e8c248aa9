"""The words and levels that the site has fixed."""

from __future__ import annotations

ALL_LEVELS = 31
LEVEL_NAMES = {1: "None", 2: "Soft", 4: "Mature", 8: "X", 16: "X", 32: "Blocked"}
NSFW_MASKS = {"None": 1, "Soft": 3, "Mature": 7, "X": 31, "Blocked": 32, "true": 60, "false": 1, "": 1}
MODEL_TYPES = (
    "Checkpoint TextualInversion Hypernetwork AestheticGradient LORA LoCon DoRA Controlnet Upscaler MotionModule VAE "
    "TextEncoder UNet CLIPVision Poses Wildcards Workflows ComfyWorkflows Detection VisionLanguage CLIP LLM Other"
).split()
FILE_TYPES = (
    "Model,Text Encoder,Vision Encoder,Pruned Model,Negative,Training Data,VAE,Config,Archive,UNet,Diffusion Model,"
    "CLIPVision,ControlNet,Workflow,Upscaler,Enhancement LoRA,Other"
).split(",")
FORMATS = ["SafeTensor", "PickleTensor", "GGUF", "Diffusers", "Core ML", "ONNX", "Other"]
BASE_MODELS = ["SD 1.5", "SDXL 1.0", "Pony", "Illustrious", "NoobAI", "Flux.1 D", "Wan Video 2.2 T2V-A14B", "Other"]
PERIODS = {"Day": 1, "Week": 7, "Month": 31, "Year": 365, "AllTime": 100_000}
